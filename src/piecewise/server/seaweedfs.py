"""SeaweedFS, an S3 store for artifacts, as docker/compose.yaml runs it.

moto also speaks S3, but it keeps everything in memory and asks for no credentials: it is for tests.
"""

import json
import shutil
from pathlib import Path

from piecewise.durable import write_private
from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.server.credentials import Secrets
from piecewise.server.service import HOST, Service, ask, installed_program, run

BUCKET = "mlflow"
PARTS = ("s3", "master", "filer", "volume", "admin")
NUM_PORTS = 2 * len(PARTS) - 1  # a gRPC port for each part, a plain port for each part but the admin
ADMIN_GRPC_OFFSET = 10_000  # SeaweedFS's workers expect the admin's gRPC port at its plain port + 10,000
# -disableHttp: the master gives out no tokens. Every other part asks for a token or for our certificate.
OPTIONS = (
    "-disableHttp",
    "-master.telemetry=false",
    "-admin.ui=false",
    "-webdav=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    f"-ip={HOST}",
    f"-ip.bind={HOST}",
)


def seaweedfs_service(project: Project, secrets: Secrets, ports: list[int]) -> Service:
    """`ports` are NUM_PORTS free ports; S3 answers at the first."""
    folder = project.server / "objects"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    make_certificate(folder)
    write_private(folder / "identities.json", identities(secrets))
    write_private(folder / "security.toml", security(folder, secrets))  # SeaweedFS reads it from its working directory
    return Service(
        "SeaweedFS",
        command(project, folder, ports),
        folder,
        project.server / "seaweedfs.log",
        lambda: _is_ok(f"http://{HOST}:{ports[0]}/healthz"),
    )


def command(project: Project, folder: Path, ports: list[int]) -> list[str]:
    plain, grpc = [*ports[: len(PARTS) - 1], ports[-1] - ADMIN_GRPC_OFFSET], ports[len(PARTS) - 1 :]
    port_options = [f"-{part}.port={port}" for part, port in zip(PARTS, plain, strict=True)]
    port_options += [f"-{part}.port.grpc={port}" for part, port in zip(PARTS, grpc, strict=True)]
    weed = installed_program(project, "weed")
    start = [weed, "-logtostderr=true", "mini", f"-dir={folder / 'data'}", f"-bucket={BUCKET}"]
    return [*start, f"-s3.config={folder / 'identities.json'}", *OPTIONS, *port_options]


def identities(secrets: Secrets) -> str:
    """S3's only user is MLflow's server, which may do everything in its bucket."""
    actions = [f"{action}:{BUCKET}" for action in ("Read", "Write", "List", "Tagging")]
    keys = {"accessKey": secrets.s3_access, "secretKey": secrets.s3_secret}
    return json.dumps({"identities": [{"name": BUCKET, "actions": actions, "credentials": [keys]}]})


def security(folder: Path, secrets: Secrets) -> str:
    """SeaweedFS's parts trust each other by one certificate and four keys, and trust no other process."""
    keys = {"signing": secrets.volume, "signing.read": secrets.volume_read}
    keys |= {"filer_signing": secrets.filer, "filer_signing.read": secrets.filer_read}
    lines = ["[access]", "ui = false", *(f'[jwt.{name}]\nkey = "{key}"' for name, key in keys.items())]
    pair = f'cert = "{folder / "certificate.pem"}"\nkey = "{folder / "key.pem"}"'
    lines += ["[grpc]", f'ca = "{folder / "certificate.pem"}"']
    lines += [f"[grpc.{part}]\n{pair}" for part in (*PARTS, "client", "worker")]
    return "\n".join(lines) + "\n"


def make_certificate(folder: Path) -> None:
    """Make a new key and certificate; every start does."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise BadInput("openssl is not in PATH; apt-get install openssl")
    for name in ("key.pem", "certificate.pem"):
        write_private(folder / name, "")  # openssl keeps the mode of an existing file
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "3650", "-subj", "/CN=piecewise", "-addext", f"subjectAltName=IP:{HOST},DNS:localhost"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    run(command, folder)


def _is_ok(address: str) -> bool:
    try:
        return ask(address, timeout=5).ok
    except OSError:
        return False
