"""The services of docker/compose.yaml, run by their own commands as processes instead of containers."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from piecewise.cli import main
from piecewise.project import Project
from piecewise.server.mlflow_service import PLUGIN
from small_project import ROOT, TINY

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
DOCKER = ROOT / "docker"


@dataclass(frozen=True)
class Stack:
    """The running services: the address of MLflow's pages, the secrets by name, the folder of data and logs."""

    address: str
    secrets: dict[str, str]
    folder: Path

    def get(self, path: str, user: str = "", password: str = "", body: bytes | None = None, **headers: str) -> int:
        """Send a GET request, or with a body a POST request. Returns the status."""
        if user:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            request = urllib.request.Request(self.address + path, body, headers)
            return int(urllib.request.urlopen(request).status)
        except urllib.error.HTTPError as error:
            return error.code


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def programs_of_postgres() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        assert "CI" not in os.environ, "CI must run these tests: install postgresql"
        pytest.skip("no PostgreSQL is installed")
    return found[-1].parent


@contextmanager
def running(command: list[Any], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, **options)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def wait_for(is_ready: Any, what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_ready():
        assert time.monotonic() < deadline, f"{what} is not ready"
        time.sleep(0.3)


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def database(service: dict[str, Any], folder: Path, password: Path, port: int) -> Iterator[None]:
    """Run PostgreSQL with the user, database and password that the image's entry point would create."""
    programs, place = programs_of_postgres(), folder / "database"
    place.mkdir()
    password_copy = folder / ".password"
    shutil.copy(password, password_copy)
    as_user: dict[str, Any] = {"cwd": "/"}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        as_user |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(place, "postgres")
        shutil.chown(password_copy, "postgres")
    settings = service["environment"]
    initdb = [programs / "initdb", "-D", place / "data", "-U", settings["POSTGRES_USER"], f"--pwfile={password_copy}"]
    subprocess.run([*initdb, *settings["POSTGRES_INITDB_ARGS"].split()], check=True, capture_output=True, **as_user)
    server = [programs / "postgres", "-D", place / "data", "-p", str(port), "-k", place, "-c", "log_statement=all"]
    with running(server, folder / "database.log", **as_user):
        check = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        wait_for(lambda: subprocess.run(check, check=False).returncode == 0, "PostgreSQL")
        create = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", settings["POSTGRES_USER"]]
        environment = os.environ | {"PGPASSWORD": password.read_text()}
        subprocess.run([*create, settings["POSTGRES_DB"]], check=True, env=environment)
        yield


@contextmanager
def store(service: dict[str, Any], programs: Path, folder: Path, secrets: Path, port: int) -> Iterator[None]:
    (folder / "store").mkdir()
    words = [word.replace("/run/secrets", str(secrets)) for word in service["command"]]
    words = [word.replace("-dir=/data", f"-dir={folder / 'store'}") for word in words]
    ports = [f"-{part}.port={free_port()}" for part in ("master", "filer", "volume", "admin")]
    here = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}", *ports]
    with running([programs / "weed", *words, *here], folder / "store.log", cwd=folder):
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "SeaweedFS")
        yield


@contextmanager
def server(
    service: dict[str, Any], programs: Path, folder: Path, secrets: Path, ports: dict[str, int]
) -> Iterator[None]:
    def here(text: str) -> str:
        text = text.replace("/run/secrets", str(secrets)).replace("0.0.0.0", "127.0.0.1")
        text = text.replace("@database/", f"@127.0.0.1:{ports['database']}/").replace("5000", str(ports["server"]))
        return text.replace("store:8333", f"127.0.0.1:{ports['store']}")

    auth = folder / "auth.ini"
    auth.write_text(here((DOCKER / "auth.ini").read_text()))
    settings = {key: here(value) for key, value in service["environment"].items()}
    image = dict(re.findall(r"^ +(\w+)=(true|false|1)\b", (DOCKER / "Dockerfile").read_text(), re.MULTILINE))
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), **image, **settings}
    environment |= {"MLFLOW_AUTH_CONFIG_PATH": str(auth), "PYTHONPATH": str(PLUGIN)}
    command = ["sh", DOCKER / "entrypoint.sh", *map(here, service["command"])]
    with running(command, folder / "server.log", cwd=folder, env=environment) as process:
        address = f"http://127.0.0.1:{ports['server']}/health"
        wait_for(lambda: answers(address) or process.poll() is not None, "MLflow's server")
        assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
        yield


@pytest.fixture
def stack(
    compose: dict[str, Any], programs: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    folder = Path("/tmp", f"stack.{os.getpid()}")  # paths of sockets must be short
    folder.mkdir(mode=0o711)
    secrets, services = folder / "secrets", compose["services"]
    subprocess.run(["sh", DOCKER / "secrets.sh", secrets], check=True, capture_output=True)
    known = {path.name: path.read_text() for path in secrets.iterdir()}
    ports = {name: free_port() for name in ("database", "store", "server")}
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", services["trainer"]["environment"]["MLFLOW_TRACKING_USERNAME"])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", known["admin_password"])
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        stack.enter_context(database(services["database"], folder, secrets / "database_password", ports["database"]))
        stack.enter_context(store(services["store"], programs, folder, secrets, ports["store"]))
        stack.enter_context(server(services["server"], programs, folder, secrets, ports))
        yield Stack(f"http://127.0.0.1:{ports['server']}", known, folder)


def test_stack_records_a_run_refuses_unknown_users_and_reveals_no_secret(
    stack: Stack, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    password, search = stack.secrets["admin_password"], "/api/2.0/mlflow/experiments/search?max_results=5"
    assert stack.get(search) == 401
    assert stack.get(search, "admin", "admin") == 401
    assert stack.get(search, "admin", password) == 200
    assert stack.get(search, "admin", password, Host="evil.example:5000") == 403
    assert stack.get("/") == 401
    assert stack.get(search, "admin", password, Origin="http://127.0.0.1:1") == 403  # a web page from another port
    outside = b'{"name": "x", "artifact_location": "file:///etc"}'
    assert stack.get("/api/2.0/mlflow/experiments/create", "admin", password, outside) == 403
    assert stack.get("/ajax-api/3.0/jobs", "admin", password, b"{}") == 403
    part = b'{"path": "0/x.bin", "num_parts": 2}'
    assert stack.get("/api/2.0/mlflow-artifacts/mpu/create/0/x.bin", "admin", password, part) == 501

    options = [item for item in TINY if not item.startswith("tracking")]
    assert main(["train", *options, "tracking=docker", f"tracking.uri={stack.address}"]) == 0
    assert main(["sync"]) == 0  # finish uploads that take longer than 10 s
    client = MlflowClient(stack.address)
    (experiment,) = [found for found in client.search_experiments() if found.name != "Default"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert set(run.data.metrics) >= {"train/nll", "val/nll", "test/squared_error"}
    svg = client.download_artifacts(run.info.run_id, "figures/fitted_function.svg", str(project))
    (place,) = (project / "runs").glob("2*")
    assert Path(svg).read_bytes() == (place / "figures" / "fitted_function.svg").read_bytes()

    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1000000")
    large = project / "large.bin"
    large.write_bytes(bytes(range(256)) * 20_000)
    client.log_artifact(run.info.run_id, str(large))  # in one piece through the server
    (project / "back").mkdir()
    back = Path(client.download_artifacts(run.info.run_id, "large.bin", str(project / "back")))
    assert back.read_bytes() == large.read_bytes()

    files_with_secrets = {
        path
        for path in [*project.root.rglob("*"), *stack.folder.glob("*.log"), *Path("/proc").glob("[0-9]*/cmdline")]
        if path.is_file() and any(secret in _text(path) for secret in stack.secrets.values())
    }
    assert files_with_secrets == set()
    assert "GET /health" in _text(stack.folder / "server.log")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # a process that has ended
        return ""


def test_a_new_user_sees_nothing_without_permission(stack: Stack, project: Project) -> None:
    from mlflow import MlflowClient

    experiment = MlflowClient(stack.address).create_experiment("private")
    body = b'{"username": "guest", "password": "a long password"}'
    headers = {"Content-Type": "application/json"}
    credentials = base64.b64encode(f"admin:{stack.secrets['admin_password']}".encode()).decode()
    request = urllib.request.Request(f"{stack.address}/api/2.0/mlflow/users/create", body, headers)
    request.add_header("Authorization", f"Basic {credentials}")
    assert urllib.request.urlopen(request).status == 200
    path = f"/api/2.0/mlflow/experiments/get?experiment_id={experiment}"
    assert stack.get(path, "guest", "a long password") == 403
    assert stack.get(path, "admin", stack.secrets["admin_password"]) == 200
