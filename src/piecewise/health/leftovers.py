"""What lies in a project and is of no use any more."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from piecewise.journal.run_folder import all_runs
from piecewise.manifest import update_manifest
from piecewise.project import STORE, Project
from piecewise.tracking.store.embedded import ASIDE

AGE = 3600  # seconds after which a temporary file belongs to nobody


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may go, and why."""

    path: Path
    reason: str

    def name(self, project: Project) -> str:
        """As a person in the project's root would call it."""
        return str(self.path.relative_to(project) if self.path.is_relative_to(project) else self.path)

    @property
    def num_bytes(self) -> int:
        files = [self.path] if self.path.is_file() else [path for path in self.path.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files)


def remove(item: Leftover) -> None:
    """Take it away, and out of the manifest that knows it."""
    if item.path.is_file():
        item.path.unlink()
        return
    shutil.rmtree(item.path)
    update_manifest(item.path.parent, [item.path.name])


def leftovers(project: Project) -> list[Leftover]:
    """Live checkpoints of trainings that have their result, temporary files of writers that died, old stores."""
    checkpoints = [folder.checkpoints for folder in all_runs(project) if folder.result.is_file()]
    finished = [Leftover(project / path, "checkpoints of a finished run") for path in checkpoints if path.is_dir()]
    before = time.time() - AGE
    torn = [
        Leftover(path, "half-written")
        for folder in ("runs", "results", "report", "build", "data")
        for path in sorted((project / folder).rglob(".*.tmp"))
        if path.is_file() and path.stat().st_mtime < before
    ]
    beside = project.store.resolve().parent  # it may be a link
    old = [
        *_all_but_the_newest(project.runs, f"{ASIDE}*", before, "a store that was set aside before the last one"),
        *_all_but_the_newest(beside, f"{STORE}.before-*", before, "a backup of the store before the last one"),
    ]
    return finished + torn + old


def _all_but_the_newest(folder: Path, pattern: str, before: float, reason: str) -> list[Leftover]:
    found = sorted((path.lstat().st_mtime, path) for path in folder.glob(pattern) if not path.is_symlink())
    return [Leftover(path, reason) for made, path in found[:-1] if made < before]
