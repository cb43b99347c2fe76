"""A service as a child process, which ends when this process ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # prctl(2)
PATH = "/usr/local/bin:/usr/bin:/bin"


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
            preexec_fn=_end_with_parent(os.getpid(), service.stop_signal),
            **run_as(service.user),
        )


def run_as(user: str | None) -> dict[str, Any]:
    """Options of `subprocess` that run a program as `user`, without the groups of the current user."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the process group of `process`. Members may still run after their leader has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _end_with_parent(parent: int, number: int) -> Callable[[], None]:
    """Make what the child runs between fork and exec: it asks the kernel for signal `number` when `parent` ends."""
    prctl = ctypes.CDLL(None).prctl  # loaded before the fork, because nothing may be loaded after it

    def prepare() -> None:
        signal.signal(number, signal.SIG_DFL)  # a background shell lets its children ignore some signals
        prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it ended before prctl
            os._exit(1)

    return prepare
