"""One program that runs beside this one, and not longer."""

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
    """How to run it. Of this process's environment it sees nothing: that may hold other secrets."""

    name: str
    command: list[str]
    folder: Path
    log: Path
    is_ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None  # None: whoever we are


def start(service: Service) -> subprocess.Popen[bytes]:
    """Call it from the main thread: the kernel ends the process with the thread that has started it."""
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
            preexec_fn=_ending_with(os.getpid(), service.stop_signal),
            **as_user(service.user),
        )


def as_user(name: str | None) -> dict[str, Any]:
    """Options for subprocess; the groups of this user are left behind too."""
    return {} if name is None else {"user": name, "group": name, "extra_groups": []}


def end_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Its leader may be gone, and members of it still run."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _ending_with(parent: int, number: int) -> Callable[[], None]:
    """Run between fork and exec: when `parent` is gone, however it went, the kernel sends `number`."""
    prctl = ctypes.CDLL(None).prctl  # found before the fork, after which nothing may be loaded

    def prepare() -> None:
        signal.signal(number, signal.SIG_DFL)  # a shell in the background makes its children deaf to some
        prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return prepare
