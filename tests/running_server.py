"""A process of `piecewise server`, and requests to it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from small_project import ROOT, new_project

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def wait_for(is_so: Callable[[], Any], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)


@dataclass
class Answer:
    """A response: its status, and at most its first 10 MB."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A project and its `piecewise server` process, which runs with `environment`."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    keeper: subprocess.Popen[str] | None = None

    def piecewise(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "piecewise", *words]
        return subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)

    def start(self, port: int = 0) -> float:
        """Start the server. Returns the seconds until it reports that it is healthy."""
        log = self.root.parent / "said.txt"
        begun = time.monotonic()
        with log.open("w") as output:
            command = [sys.executable, "-m", "piecewise", "server", f"--port={port}"]
            self.keeper = subprocess.Popen(
                command, cwd=self.root, env=self.environment, stdout=output, stderr=subprocess.STDOUT, text=True
            )
        keeper = self.keeper
        wait_for(lambda: "Ctrl-C ends it" in log.read_text() or keeper.poll() is not None, "healthy", 180)
        assert keeper.poll() is None, log.read_text()
        return time.monotonic() - begun

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.keeper is not None
        if self.keeper.poll() is None:
            self.keeper.send_signal(number)
        return self.keeper.wait(90)

    def output(self) -> str:
        return (self.root.parent / "said.txt").read_text()

    def read_json(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.root / "runs" / ".server" / f"{name}.json").read_text())
        return content

    @property
    def uri(self) -> str:
        return str(self.read_json("credentials")["uri"])

    @property
    def secrets(self) -> dict[str, str]:
        return {**self.read_json("secrets"), "password": self.read_json("credentials")["password"]}

    def members(self) -> list[int]:
        """The process ids of PostgreSQL, SeaweedFS and MLflow, in this order."""
        return [member["pid"] for member in self.read_json("state")["members"]]

    def ask(
        self, method: str, path: str, body: Any = None, login: tuple[str, str] | None = None, **headers: str
    ) -> Answer:
        """Send a request as the admin or as `login`; without login if its name is empty. The path is sent unchanged."""
        known = self.read_json("credentials")
        name, password = login or (known["username"], known["password"])
        if name:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(urlsplit(self.uri).netloc, timeout=60)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for key, value in {**headers, "Content-Length": str(len(data or b""))}.items():
                connection.putheader(key, value)
            connection.endheaders(data)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(10_000_000))
        finally:
            connection.close()

    def is_up(self) -> bool:
        try:
            return self.ask("GET", f"{API}/experiments/search?max_results=1").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def create(self, kind: str, **fields: Any) -> Any:
        answer = self.ask("POST", f"{API}/{kind}/create", fields)
        assert answer.status == 200, answer.body
        return answer.json


def make_server(place: Path) -> Server:
    """A new project with the programs that `make server` installs. Its server is not started yet."""
    root = new_project(place / "a project")
    (root / ".venv").mkdir()
    (root / ".venv" / "server").symlink_to(ROOT / ".venv" / "server")
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return Server(root, {**os.environ, "PYTHONPATH": path})


def remove(server: Server) -> None:
    """Remove the PostgreSQL cluster, which lies outside the project if root made it."""
    link = server.root / "runs" / ".server" / "database"
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)


def processes_of(root: Path) -> list[str]:
    """Command lines of the processes that run in a project or use its PostgreSQL cluster."""
    link = root / "runs" / ".server" / "database"
    marks = [str(root / "runs" / ".server"), str(root / ".venv"), str(link.resolve())]
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cwd = str((place / "cwd").readlink())
        except OSError:  # it has ended
            continue
        if int(place.name) != os.getpid() and any(mark in line or cwd.startswith(mark) for mark in marks):
            found.append(line)
    return found
