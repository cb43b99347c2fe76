"""Looking at the machine: its disk and its clock."""

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

ENOUGH = 1_000_000_000  # bytes: a small sweep's runs and their copies in MLflow
LEEWAY = 60  # seconds that another machine, whose disk this may be, can be ahead


def disk_space(project: Project) -> Iterator[Finding]:
    free = shutil.disk_usage(project).free
    if free < ENOUGH:
        what = f"{terminal.size(free)} are free where the project lies, wanted {terminal.size(ENOUGH)}"
        yield fault(what, "piecewise clean, or make room elsewhere on this disk")


def clock(project: Project) -> Iterator[Finding]:
    """A clock that is earlier than what has been written already gives every new run a wrong time."""
    newest = max(_dated_files(project), key=_written, default=None)
    if newest is None or _written(newest) <= time.time() + LEEWAY:
        return
    name = str(newest.relative_to(project))
    what = f"it says {_in_words(time.time())}, but {name} was written at {_in_words(_written(newest))}"
    yield fault(what, f"timedatectl set-ntp true; if the clock is right, touch {shlex.quote(name)}")


def _dated_files(project: Project) -> list[Path]:
    named = [project / name for name in ("requirements.lock", "dvc.yaml", "dvc.lock", "mlflow.db")]
    journals = [project / folder.journal for folder in all_runs(project)]
    return [path for path in (*named, *project.conf.rglob("*.yaml"), *journals) if path.is_file()]


def _written(path: Path) -> float:
    return path.stat().st_mtime


def _in_words(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
