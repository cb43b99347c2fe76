"""Naming a process so that it can be told from a later one with the same number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def this_process() -> dict[str, Any]:
    """Boot, process number and start time: together they never come again on one machine."""
    return _named(os.getpid())


def another_process(pid: int) -> dict[str, Any]:
    """The same of one that runs on this machine."""
    return _named(pid)


def starter(word: str) -> dict[str, Any] | None:
    """The process that started this one, be it through a shell; None if `word` is not in its command line.

    Who loses the process that started it gets another one, which did not.
    """
    pid = os.getppid()
    while _is_shell_command(pid):
        pid = int(_stat(pid)[1])
    return _named(pid) if any(word.encode() in argument for argument in _command(pid)) else None


def is_gone(process: dict[str, Any]) -> bool:
    """Whether the process certainly no longer runs. On another machine, or without /proc, nobody can tell: False."""
    if process["host"] != os.uname().nodename or _boot() is None:
        return False
    return bool(process["boot"] != _boot() or process["started"] != _start_time(process["pid"]))


def _named(pid: int) -> dict[str, Any]:
    return {"host": os.uname().nodename, "boot": _boot(), "pid": pid, "started": _start_time(pid)}


def _is_shell_command(pid: int) -> bool:
    """Whether the process is `sh -c …`, which lives on when whoever it works for is gone."""
    words = _command(pid)
    return words[1:2] == [b"-c"] and words[0].rpartition(b"/")[2].endswith(b"sh")


def members(group: int) -> dict[int, str | int]:
    """What the members of a process group do: the kernel's letter for it, or of those that ended the exit code.

    As Python has it: negative for a signal. Whose exit code somebody has asked for is not among them any more.
    """
    found: dict[int, str | int] = {}
    for place in PROC.glob("[0-9]*"):
        fields = _stat(int(place.name))
        if fields and int(fields[2]) == group:
            is_over = fields[0] == "Z"
            found[int(place.name)] = os.waitstatus_to_exitcode(int(fields[49])) if is_over else fields[0]
    return found


def _boot() -> str | None:
    path = PROC / "sys" / "kernel" / "random" / "boot_id"
    return path.read_text().strip() if path.is_file() else None


def _start_time(pid: int) -> int | None:
    """In clock ticks since the boot; None for a process that does not exist, or exists only as an unread status."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def _command(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on (proc_pid_stat(5), third field); empty if there is none."""
    try:
        # The name, in parentheses, may itself hold spaces and parentheses: what counts stands behind the last one.
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
