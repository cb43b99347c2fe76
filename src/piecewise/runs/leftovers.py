"""What lies in a project and is of no use any more."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from piecewise.journal.folder import all_runs
from piecewise.manifest import update_manifest

AGE = 3600  # seconds after which a temporary file belongs to nobody


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may go, and why."""

    path: Path
    reason: str

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


def leftovers(root: Path) -> list[Leftover]:
    """Live checkpoints of trainings that have their result, and temporary files of writers that died."""
    checkpoints = [folder.checkpoints for folder in all_runs(root) if folder.result.is_file()]
    finished = [Leftover(root / path, "checkpoints of a finished run") for path in checkpoints if path.is_dir()]
    before = time.time() - AGE
    torn = [
        Leftover(path, "half-written")
        for folder in ("runs", "results", "report", "build", "data")
        for path in sorted((root / folder).rglob(".*.tmp"))
        if path.is_file() and path.stat().st_mtime < before
    ]
    return finished + torn
