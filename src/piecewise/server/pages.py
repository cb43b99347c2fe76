"""MLflow's server: pages and API, with runs in PostgreSQL and artifacts in the store, both through it alone."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from pathlib import Path

from piecewise.errors import PiecewiseError
from piecewise.project import Project
from piecewise.server.objects import BUCKET
from piecewise.server.places import FOLDER, own_program, write_private
from piecewise.server.ports import HOST
from piecewise.server.postgres import NAME
from piecewise.server.service import Service
from piecewise.tracking.store.open import PRIVATE

WORKERS = 2
INSIDE = Path(__file__).parent / "inside"  # what our own code inside MLflow is imported from
# A model may come from a run or a model that MLflow knows, whose permissions it can ask for; not from a bare address.
SOURCES = r"^(runs|models|mlflow-artifacts):/"
PROBE = "health/probe"  # an artifact that shows that the store takes and gives


def pages(project: Project, user: str, password: str, secrets: dict[str, str], ports: dict[str, int]) -> Service:
    """`ports` has those of `pages`, `database` and `objects`."""
    folder = project / FOLDER
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    write_private(folder / "auth.ini", permissions(user, ports["database"]))
    return Service(
        "MLflow",
        command(project, ports),
        folder,
        folder / "pages.log",
        lambda: is_healthy(ports["pages"], user, password),
        environment(folder, password, secrets, ports["objects"]),
    )


def addresses(port: int) -> list[str]:
    return [f"{host}:{port}" for host in (HOST, "localhost")]


def command(project: Project, ports: dict[str, int]) -> list[str]:
    """No other page may speak to it, by whatever name it is found."""
    names = addresses(ports["pages"])
    return [
        own_program(project, "mlflow"),
        "server",
        "--app-name=basic-auth",
        f"--host={HOST}",
        f"--port={ports['pages']}",
        f"--workers={WORKERS}",
        f"--backend-store-uri={_database(ports['database'])}",
        f"--artifacts-destination=s3://{BUCKET}",
        f"--allowed-hosts={','.join(names)}",
        f"--cors-allowed-origins={','.join(f'http://{name}' for name in names)}",
        "--uvicorn-opts=--log-level warning --timeout-graceful-shutdown 5",
    ]


def permissions(user: str, database: int) -> str:
    """The text of auth.ini; no secret stands there."""
    settings = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": _database(database),
        "admin_username": user,
        "authorization_function": "piecewise_guard:authenticate",
        "grant_default_workspace_access": "false",
        # A password is hashed a million times: 0.6 s for each request, without a memory. One that was changed may be
        # good for so much longer.
        "auth_cache_ttl_seconds": "60",
    }
    return "[mlflow]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())


def environment(folder: Path, password: str, secrets: dict[str, str], objects: int) -> dict[str, str]:
    """Where its secrets are, which a command line would show to everybody."""
    return {
        **PRIVATE,
        "PYTHONPATH": str(INSIDE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(folder / "tmp"),
        "PGPASSWORD": secrets["database"],
        "AWS_ACCESS_KEY_ID": secrets["s3_access"],
        "AWS_SECRET_ACCESS_KEY": secrets["s3_secret"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_S3_ENDPOINT_URL": f"http://{HOST}:{objects}",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets["session"],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": SOURCES,
    }


def is_healthy(port: int, user: str, password: str) -> bool:
    """Whether it answers with what is in the database, and gives back an artifact. Raises PiecewiseError on 401."""
    artifact = f"/api/2.0/mlflow-artifacts/artifacts/{PROBE}"
    asked = [("GET", "/api/2.0/mlflow/experiments/search?max_results=1"), ("PUT", artifact), ("GET", artifact)]
    try:
        for method, path in asked:
            request = urllib.request.Request(f"http://{HOST}:{port}{path}", b"ok" if method == "PUT" else None)
            request.method = method
            request.add_header("Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")
            urllib.request.urlopen(request, timeout=20).close()
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise PiecewiseError(f"the password in {FOLDER / 'credentials.json'} is not the database's") from error
        return False
    except OSError:
        return False
    return True


def _database(port: int) -> str:
    return f"postgresql+psycopg://{NAME}@{HOST}:{port}/{NAME}"
