"""Checks of file permissions: the project can be written, and its runs are private."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from piecewise.health.findings import Finding, fault
from piecewise.project import Project

WRITTEN_PATHS = (".", "runs", "mlflow.db", ".dvc/tmp", "build", "results")
OTHERS = stat.S_IRWXG | stat.S_IRWXO
ROOT = 0
MAX_NAMED = 3  # paths that a message names; it counts the others


def permissions(project: Project) -> Iterator[Finding]:
    user = os.geteuid()
    for name in WRITTEN_PATHS:
        path = project / name
        if path.exists():
            yield from _unwritable(path, name, user)
    yield from _readable_by_others(project)


def _unwritable(path: Path, name: str, user: int) -> Iterator[Finding]:
    """A fault if the user may not write. For root the mode decides: the owner cannot change what root writes there."""
    status = path.stat()
    if os.access(path, os.W_OK) and (user != ROOT or _mode_allows(status, user)):
        return
    owner, mode = status.st_uid, stat.S_IMODE(status.st_mode)
    if owner != user or not mode & stat.S_IWUSR:
        what = f"{name} belongs to user {owner}, mode {mode:04o}: user {user} may not write there"
        yield fault(what, f"chmod u+rwX {name}" if owner == user else f"sudo chown -R {user} {name}")
    else:
        yield fault(f"{name} cannot be written: its file system is read-only", f"findmnt --target {name}")


def _mode_allows(status: os.stat_result, user: int) -> bool:
    if status.st_uid == user:
        return bool(status.st_mode & stat.S_IWUSR)
    if status.st_gid in (os.getegid(), *os.getgroups()):
        return bool(status.st_mode & stat.S_IWGRP)
    return bool(status.st_mode & stat.S_IWOTH)


def _readable_by_others(project: Project) -> Iterator[Finding]:
    """Runs and the store are private: only the user who started them may use them."""
    runs = sorted(path for path in project.runs.glob("*") if path.is_dir())
    private = [path for path in (project.store, *runs) if path.exists()]
    shared = [path.relative_to(project) for path in private if path.stat().st_mode & OTHERS]
    if shared:
        more = f" and {len(shared) - MAX_NAMED} more" if len(shared) > MAX_NAMED else ""
        what = f"other users of this machine may use {', '.join(map(str, shared[:MAX_NAMED]))}{more}"
        yield fault(what, f"chmod -R go-rwx {shlex.join(sorted({path.parts[0] for path in shared}))}")
