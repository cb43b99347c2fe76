"""The state of a running server in a file: its address and its processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from piecewise.processes import Process, this_process
from piecewise.project import Project
from piecewise.server.private_files import write_private


@dataclass(frozen=True)
class ServerState:
    """What state.json holds."""

    uri: str
    keeper: Process  # the process of `piecewise server`
    members: list[Process]  # the services' processes, each the leader of a process group
    is_healthy: bool


def state_file(project: Project) -> Path:
    return project.server / "state.json"


def lock_file(project: Project) -> Path:
    """Locked by the keeper as long as it lives."""
    return project.server / "lock"


def write_state(project: Project, uri: str, pids: list[int], is_healthy: bool) -> None:
    state = ServerState(uri, this_process(), [Process.of(pid) for pid in pids], is_healthy)
    write_private(state_file(project), json.dumps(asdict(state)) + "\n")


def read_state(project: Project) -> ServerState | None:
    """None if there is no file, or a crash has damaged it."""
    try:
        content = json.loads(state_file(project).read_text())
        members = [Process.parse(process) for process in content["members"]]
        return ServerState(content["uri"], Process.parse(content["keeper"]), members, content["is_healthy"])
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def kill_leftovers(project: Project) -> None:
    """Kill the process groups that a killed server has left, and remove its state."""
    state = read_state(project)
    for member in state.members if state else []:
        if _is_same_group(member):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(member.pid, signal.SIGKILL)
    state_file(project).unlink(missing_ok=True)


def _is_same_group(member: Process) -> bool:
    """Whether the group of `member` is still its own. The kernel reuses no number while its group has a member."""
    now = Process.of(member.pid)
    return (now.host, now.boot) == (member.host, member.boot) and now.started in (None, member.started)
