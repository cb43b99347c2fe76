"""Checks of the machine: its disk and its clock."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from piecewise import terminal
from piecewise.health.findings import Finding, fault
from piecewise.journal.run_folder import all_runs
from piecewise.project import Project

MIN_FREE_BYTES = 1_000_000_000  # a small sweep's runs and their copies in MLflow
MAX_CLOCK_LAG_SECONDS = 60  # a network disk's machine may be ahead by this


def disk_space(project: Project) -> Iterator[Finding]:
    free = shutil.disk_usage(project).free
    if free < MIN_FREE_BYTES:
        what = f"{terminal.size(free)} are free on the project's disk, wanted {terminal.size(MIN_FREE_BYTES)}"
        yield fault(what, "piecewise clean --yes, or free space elsewhere on this disk")


def clock(project: Project) -> Iterator[Finding]:
    """A clock that is behind the project's newest file gives every new run a wrong time."""
    newest = max(_dated_files(project), key=_modified, default=None)
    if newest is None or _modified(newest) <= time.time() + MAX_CLOCK_LAG_SECONDS:
        return
    name = str(newest.relative_to(project))
    what = f"the clock says {_in_words(time.time())}, but {name} was written at {_in_words(_modified(newest))}"
    yield fault(what, f"timedatectl set-ntp true; if the clock is right, touch {shlex.quote(name)}")


def _dated_files(project: Project) -> list[Path]:
    named = [project.lock, project / "dvc.yaml", project.dvc_lock, project.store]
    journals = [project / folder.journal for folder in all_runs(project)]
    return [path for path in (*named, *project.conf.rglob("*.yaml"), *journals) if path.is_file()]


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _in_words(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
