"""One service of a server: its program, its ports, and its process, which ends when this process ends."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from piecewise.errors import BadInput, PiecewiseError
from piecewise.project import Project

HOST = "127.0.0.1"
POSTGRES = Path("/usr/lib/postgresql")  # Debian installs PostgreSQL here, outside PATH
PR_SET_PDEATHSIG = 1  # prctl(2)
PATH = "/usr/local/bin:/usr/bin:/bin"
MAX_REASON = 500  # characters of a program's errors that a message repeats


@dataclass(frozen=True)
class Service:
    """How to run one program. It inherits no environment variables, because they may hold other secrets."""

    name: str
    command: list[str]
    folder: Path  # its working directory
    log: Path
    is_ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None  # None: the user of this process


def start(service: Service) -> subprocess.Popen[bytes]:
    """Start `service` as the leader of a new process group.

    Call this from the main thread: the kernel sends the stop signal when the starting thread ends.
    """
    environment = {"PATH": PATH, "HOME": str(service.folder), "LANG": "C.UTF-8", **service.environment}
    with service.log.open("ab") as log:
        return subprocess.Popen(
            service.command,
            cwd=service.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=end_with_parent(os.getpid(), service.stop_signal),
            **run_as(service.user),
        )


def run_as(user: str | None) -> dict[str, Any]:
    """Options of `subprocess` that run a program as `user`, without the groups of the current user."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def run(command: list[str], folder: Path, user: str | None = None, stdin: str = "") -> None:
    """Run a program to its end in `folder`. Raises PiecewiseError, with what it printed, if it fails."""
    done = subprocess.run(
        command,
        input=stdin,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        **run_as(user),
    )
    if done.returncode:
        reason = " ".join(done.stderr.split())[-MAX_REASON:] or "it printed no error"
        raise PiecewiseError(f"{Path(command[0]).name} ended with {done.returncode}: {reason}")


def ask(address: str, method: str = "GET", **options: Any) -> requests.Response:
    """The answer of a service on this machine. Proxies and ~/.netrc are left out: they must not see its password."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, address, **options)


def signal_group(leader: int, number: int) -> None:
    """Send a signal to the process group of `leader`. Members may still run after their leader has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def end_with_parent(parent: int, number: int) -> Callable[[], None]:
    """What the child runs between fork and exec: it asks the kernel to send it signal `number` when `parent` ends."""
    prctl = ctypes.CDLL(None).prctl  # loaded before the fork, because nothing may be loaded after it

    def prepare() -> None:
        signal.signal(number, signal.SIG_DFL)  # a background shell lets its children ignore some signals
        prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it ended before prctl
            os._exit(1)

    return prepare


def installed_program(project: Project, name: str) -> str:
    """A program of docker/server.lock or docker/store.lock. Raises BadInput if `make server` has not installed it."""
    path = project / ".venv" / "server" / "bin" / name
    if not path.exists():
        raise BadInput(f"{path} is missing; make server installs it")
    return str(path)


def postgres_program(name: str, version: str = "*") -> str:
    """One of PostgreSQL's programs, of its newest installed version or of `version`. Raises BadInput if none is."""
    found = sorted(POSTGRES.glob(f"{version}/bin/{name}"), key=lambda path: int(path.parts[-3]))
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        which = name if version == "*" else f"{name}, version {version},"
        raise BadInput(f"PostgreSQL's {which} is neither below {POSTGRES} nor in PATH; apt-get install postgresql")
    return program


def free_port(port: int) -> int:
    """`port`, or any free port for 0. Raises BadInput if it is taken, where MLflow would end with exit code 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise BadInput(f"--port={port} cannot be used ({error}); allowed: a free one, or 0 for any") from error
        return int(probe.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """`count` different free ports."""
    with contextlib.ExitStack() as open_sockets:  # all stay open until the last port is known, so that none repeats
        probes = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
