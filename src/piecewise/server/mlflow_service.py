"""MLflow's server: pages and API. It keeps runs in PostgreSQL and artifacts in S3; only it speaks to them."""

import time
from pathlib import Path
from typing import Any

import requests

from piecewise.durable import write_private
from piecewise.errors import PiecewiseError
from piecewise.project import Project
from piecewise.server.credentials import Login, Secrets
from piecewise.server.postgres import NAME
from piecewise.server.seaweedfs import BUCKET
from piecewise.server.service import HOST, Service, ask, installed_program
from piecewise.tracking.store.credentials import FILE
from piecewise.tracking.store.mlflow_settings import PRIVATE

NUM_WORKERS = 2
PLUGIN = Path(__file__).parent / "mlflow_plugin"  # our code that MLflow's server imports
# Where a registered model may come from: a run or a model, whose permissions MLflow checks; not a bare address.
MODEL_SOURCES = r"^(runs|models|mlflow-artifacts):/"
PROBE = "health/probe"  # the artifact that the health check writes and reads
REFUSED_SECONDS = 10.0  # of answers 401 before the login is wrong: MLflow gives some while its database is busy


def mlflow_service(
    project: Project, port: int, login: Login, secrets: Secrets, *, postgres_port: int, s3_port: int
) -> Service:
    folder = project.server
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    write_private(folder / "auth.ini", auth_settings(login.username, postgres_port))
    return Service(
        "MLflow",
        command(project, port, postgres_port),
        folder,
        folder / "mlflow.log",
        lambda: is_healthy(port, login),
        environment(folder, login.password, secrets, s3_port),
    )


def command(project: Project, port: int, postgres_port: int) -> list[str]:
    """MLflow's command line."""
    return [
        installed_program(project, "mlflow"),
        "server",
        "--app-name=basic-auth",
        f"--host={HOST}",
        f"--port={port}",
        f"--workers={NUM_WORKERS}",
        f"--backend-store-uri={_database_uri(postgres_port)}",
        f"--artifacts-destination=s3://{BUCKET}",
        *access_options(port),
        "--uvicorn-opts=--log-level warning --timeout-graceful-shutdown 5",
    ]


def access_options(port: int) -> list[str]:
    """Options of MLflow's server: it accepts requests for its own addresses, from its own pages only."""
    hosts = [f"{name}:{port}" for name in (HOST, "localhost")]
    origins = [f"http://{host}" for host in hosts]
    return [f"--allowed-hosts={','.join(hosts)}", f"--cors-allowed-origins={','.join(origins)}"]


def auth_settings(user: str, postgres_port: int) -> str:
    """The text of auth.ini, which holds no secret."""
    settings = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": _database_uri(postgres_port),
        "admin_username": user,
        "authorization_function": "piecewise_guard:authenticate",
        "grant_default_workspace_access": "false",
        # Hashing a password takes 0.6 s, so MLflow caches the result. A changed password stays valid this long.
        "auth_cache_ttl_seconds": "60",
    }
    return "[mlflow]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())


def environment(folder: Path, password: str, secrets: Secrets, s3_port: int) -> dict[str, str]:
    """MLflow's settings and secrets. They are not in its command line, which every user of the machine can read."""
    return {
        **PRIVATE,
        "PYTHONPATH": str(PLUGIN),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(folder / "tmp"),
        "PGPASSWORD": secrets.database,
        "AWS_ACCESS_KEY_ID": secrets.s3_access,
        "AWS_SECRET_ACCESS_KEY": secrets.s3_secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_S3_ENDPOINT_URL": f"http://{HOST}:{s3_port}",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.session,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": MODEL_SOURCES,
    }


def is_healthy(port: int, login: Login) -> bool:
    """Whether MLflow reads from its database, and writes and reads an artifact.

    Raises PiecewiseError if it refuses the login.
    """
    artifact = f"/api/2.0/mlflow-artifacts/artifacts/{PROBE}"
    auth = login.username.encode(), login.password.encode()  # as MLflow's client; requests would use Latin-1
    questions = [("GET", "/api/2.0/mlflow/experiments/search?max_results=1"), ("PUT", artifact), ("GET", artifact)]
    try:
        for method, path in questions:
            body = b"ok" if method == "PUT" else None
            _ask_until_known(f"http://{HOST}:{port}{path}", method, data=body, auth=auth, timeout=20).raise_for_status()
    except OSError:
        return False
    return True


def _ask_until_known(address: str, method: str, **options: Any) -> requests.Response:
    """The first answer that is not 401. Raises PiecewiseError after REFUSED_SECONDS."""
    deadline = time.monotonic() + REFUSED_SECONDS
    while (answer := ask(address, method, **options)).status_code == 401:
        if time.monotonic() > deadline:
            raise PiecewiseError(f"the password in {FILE} is not the database's")
        time.sleep(0.5)
    return answer


def _database_uri(port: int) -> str:
    return f"postgresql+psycopg://{NAME}@{HOST}:{port}/{NAME}"
