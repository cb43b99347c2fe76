"""Looking at who may write the project's files, and who may read its runs."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from piecewise.health.findings import Finding, fault
from piecewise.project import Project

WRITTEN = (".", "runs", "mlflow.db", ".dvc/tmp", "build", "results")
SHARED = stat.S_IRWXG | stat.S_IRWXO
ROOT = 0
SHOWN = 3  # names in one line


def permissions(project: Project) -> Iterator[Finding]:
    user = os.geteuid()
    for name in WRITTEN:
        path = project / name
        if path.exists():
            yield from _unwritable(path, name, user)
    yield from _readable_by_others(project)


def _unwritable(path: Path, name: str, user: int) -> Iterator[Finding]:
    """Root may write anywhere: for root the mode decides, for what it leaves in others' folders they cannot change."""
    status = path.stat()
    if os.access(path, os.W_OK) and (user != ROOT or _mode_allows(status, user)):
        return
    owner, mode = status.st_uid, stat.S_IMODE(status.st_mode)
    if owner != user or not mode & stat.S_IWUSR:
        what = f"{name} belongs to user {owner}, mode {mode:04o}: user {user} is not meant to write there"
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
    """What piecewise writes is for the eyes of whoever started it."""
    runs = sorted(path for path in project.runs.glob("*") if path.is_dir())
    private = [path for path in (project.store, *runs) if path.exists()]
    shared = [path.relative_to(project) for path in private if path.stat().st_mode & SHARED]
    if shared:
        more = f" and {len(shared) - SHOWN} more" if len(shared) > SHOWN else ""
        what = f"others on this machine may use {', '.join(map(str, shared[:SHOWN]))}{more}"
        yield fault(what, f"chmod -R go-rwx {shlex.join(sorted({path.parts[0] for path in shared}))}")
