"""Name a process so that no later one is mistaken for it; end this process when another one ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from piecewise import stopping

PROC = Path("/proc")
POLL_SECONDS = 0.25  # between two looks at the process to end with
GRACE_SECONDS = 30  # for a process that a signal, perhaps to its whole group, has already told to stop


@dataclass(frozen=True)
class Process:
    """On one host, boot, number and start time together never occur twice."""

    host: str
    boot: str | None  # the kernel's id of the boot; None without /proc
    pid: int
    started: int | None  # in clock ticks since the boot; None for a process that does not exist

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process with this number on this machine."""
        return cls(os.uname().nodename, _boot(), pid, _start_time(pid))

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Process:
        """The process that `as_dict` described."""
        return cls(record["host"], record.get("boot"), record.get("pid", 0), record.get("started"))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def this_process() -> Process:
    return Process.of(os.getpid())


def starter(word: str) -> Process | None:
    """The process that started this one, possibly through a shell; None unless `word` is in its command line.

    An orphan is re-parented; its new parent's command line will not match.
    """
    import psutil  # here, because every command imports this file

    with contextlib.suppress(psutil.Error):
        for parent in psutil.Process().parents():
            words = parent.cmdline()
            if words[1:2] == ["-c"] and words[0].endswith("sh"):
                continue  # `sh -c …` outlives the process that started it
            return Process.of(parent.pid) if any(word in argument for argument in words) else None
    return None


def is_gone(process: Process) -> bool:
    """Whether the process certainly no longer runs. False where that cannot be known: other hosts, no /proc."""
    if process.host != os.uname().nodename or _boot() is None:
        return False
    return process.boot != _boot() or process.started != _start_time(process.pid)


def end_with_dvc() -> None:
    """In a stage of `dvc repro`: end when DVC ends, also if it ended before this call."""
    if "DVC_STAGE" in os.environ:  # not set when a person starts the script
        end_with(starter("dvc"))


def end_with(process: Process | None) -> None:
    """Send SIGTERM to this process once `process` is gone; None means that it is gone already."""

    def watch() -> None:
        while process is not None and not is_gone(process):
            time.sleep(POLL_SECONDS)
        if stopping.is_signalled():  # a second signal would end it at once, without its last checkpoint
            time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def members(group: int) -> dict[int, str | int]:
    """The processes of a group, by number: the kernel's letter for the state, or the exit code of one that ended.

    An exit code is negative for a signal. A process whose parent has read its exit code is no longer listed.
    """
    found: dict[int, str | int] = {}
    for path in PROC.glob("[0-9]*"):
        fields = _stat(int(path.name))
        if fields and int(fields[2]) == group:
            is_zombie = fields[0] == "Z"
            found[int(path.name)] = os.waitstatus_to_exitcode(int(fields[49])) if is_zombie else fields[0]
    return found


def _boot() -> str | None:
    path = PROC / "sys" / "kernel" / "random" / "boot_id"
    return path.read_text("utf-8").strip() if path.is_file() else None


def _start_time(pid: int) -> int | None:
    """In clock ticks since the boot; None for a process that does not exist or is a zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third, the state, on (see proc_pid_stat(5)); empty without a process."""
    try:
        # The second field, the name in parentheses, may hold spaces and parentheses, and end inside a character.
        return (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].decode().split()
    except OSError:
        return []
