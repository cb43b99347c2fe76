"""What is known of a server that runs, in a file: where it is, and which processes belong to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from typing import Any

from piecewise.processes import another_process, this_process
from piecewise.project import Project
from piecewise.server.places import FOLDER, write_private

FILE = FOLDER / "state.json"
LOCK = FOLDER / "lock"  # held by whoever keeps the server, as long as it lives


def write_state(project: Project, uri: str, members: list[int], is_healthy: bool) -> None:
    state = {"uri": uri, "keeper": this_process(), "members": [another_process(pid) for pid in members]}
    write_private(project / FILE, json.dumps(state | {"is_healthy": is_healthy}) + "\n")


def read_state(project: Project) -> dict[str, Any] | None:
    """None if no server is known, or the file was damaged by a crash."""
    try:
        state: dict[str, Any] = json.loads((project / FILE).read_text())
        return state if {"uri", "keeper", "members", "is_healthy"} <= state.keys() else None
    except (FileNotFoundError, ValueError, AttributeError):
        return None


def clear(project: Project) -> None:
    """End what a server has left behind that was killed together with the part of it that ends the rest."""
    for member in (read_state(project) or {"members": []})["members"]:
        if _is_its_number(member):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(member["pid"], signal.SIGKILL)
    (project / FILE).unlink(missing_ok=True)


def _is_its_number(member: dict[str, Any]) -> bool:
    """Whether its group can only be its own: a number is not given anew while somebody of its group lives."""
    now = another_process(member["pid"])
    return all(now[key] == member[key] for key in ("host", "boot")) and now["started"] in (None, member["started"])
