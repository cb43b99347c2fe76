"""SeaweedFS, an S3 store for artifacts, as docker/compose.yaml runs it.

moto, which speaks S3 too, keeps everything in memory and asks for no credentials: it is for tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path

from piecewise.errors import BadInput, PiecewiseError
from piecewise.project import Project
from piecewise.server.places import FOLDER, own_program, write_private
from piecewise.server.ports import HOST
from piecewise.server.service import Service

BUCKET = "mlflow"
PARTS = ("s3", "master", "filer", "volume", "admin")
NUM_PORTS = 2 * len(PARTS) - 1  # each part also speaks gRPC
ADMIN_GRPC = 10_000  # above the admin's other port: its workers look there and nowhere else
# With -disableHttp the master gives nobody a token; the other parts want one, or our certificate, for everything.
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


def objects(project: Project, secrets: dict[str, str], ports: list[int]) -> Service:
    """The first of `ports` is where S3 is spoken."""
    folder = project / FOLDER / "objects"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    make_certificate(folder)
    write_private(folder / "identities.json", identities(secrets))
    write_private(folder / "security.toml", security(folder, secrets))  # it is looked for where the program runs
    return Service(
        "SeaweedFS",
        command(project, folder, ports),
        folder,
        project / FOLDER / "objects.log",
        lambda: _answers(f"http://{HOST}:{ports[0]}/healthz"),
    )


def command(project: Project, folder: Path, ports: list[int]) -> list[str]:
    plain, grpc = [*ports[: len(PARTS) - 1], ports[-1] - ADMIN_GRPC], ports[len(PARTS) - 1 :]
    places = [f"-{part}.port={port}" for part, port in zip(PARTS, plain, strict=True)]
    places += [f"-{part}.port.grpc={port}" for part, port in zip(PARTS, grpc, strict=True)]
    start = [own_program(project, "weed"), "-logtostderr=true", "mini", f"-dir={folder / 'data'}", f"-bucket={BUCKET}"]
    return [*start, f"-s3.config={folder / 'identities.json'}", *OPTIONS, *places]


def identities(secrets: dict[str, str]) -> str:
    """Who may do what: MLflow's server everything in its bucket, and nobody else anything."""
    actions = [f"{action}:{BUCKET}" for action in ("Read", "Write", "List", "Tagging")]
    keys = {"accessKey": secrets["s3_access"], "secretKey": secrets["s3_secret"]}
    return json.dumps({"identities": [{"name": BUCKET, "actions": actions, "credentials": [keys]}]})


def security(folder: Path, secrets: dict[str, str]) -> str:
    """Its parts trust each other by one certificate and four keys, and no other process of this machine."""
    keys = {"signing": "volume", "signing.read": "volume_read", "filer_signing": "filer"}
    keys |= {"filer_signing.read": "filer_read"}
    lines = ["[access]", "ui = false", *(f'[jwt.{name}]\nkey = "{secrets[key]}"' for name, key in keys.items())]
    pair = f'cert = "{folder / "certificate.pem"}"\nkey = "{folder / "key.pem"}"'
    lines += ["[grpc]", f'ca = "{folder / "certificate.pem"}"']
    lines += [f"[grpc.{part}]\n{pair}" for part in (*PARTS, "client", "worker")]
    return "\n".join(lines) + "\n"


def make_certificate(folder: Path) -> None:
    """A new one at each start: nothing outlives it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise BadInput("openssl is not in PATH; apt-get install openssl")
    for name in ("key.pem", "certificate.pem"):
        write_private(folder / name, "")  # openssl keeps the mode of what is there
    words = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-days", "3650", "-subj", "/CN=piecewise", "-addext", f"subjectAltName=IP:{HOST},DNS:localhost"]
    words += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PiecewiseError(f"openssl made no certificate: {done.stderr.strip()}")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
