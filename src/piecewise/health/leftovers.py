"""Files and folders of a project that are no longer needed."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from piecewise.journal.run_folder import all_runs
from piecewise.manifest import TEMPORARY_PATTERN, update_manifest
from piecewise.project import STORE, Project
from piecewise.tracking.store.embedded import ASIDE

MIN_AGE_SECONDS = 3600  # a younger temporary file may still be written


@dataclass(frozen=True)
class Leftover:
    """A file or folder that can be removed, and why."""

    path: Path
    reason: str

    @property
    def num_bytes(self) -> int:
        files = [self.path] if self.path.is_file() else [path for path in self.path.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files)


def remove(item: Leftover) -> None:
    """Remove a leftover, and its entry in a run's manifest."""
    if item.path.is_file():
        item.path.unlink()
        return
    shutil.rmtree(item.path)
    update_manifest(item.path.parent, [item.path.name])


def leftovers(project: Project) -> list[Leftover]:
    """Checkpoints of finished runs, temporary files of killed writers, and old stores except the newest."""
    checkpoints = [folder.checkpoints for folder in all_runs(project) if folder.result.is_file()]
    finished = [Leftover(project / path, "checkpoints of a finished run") for path in checkpoints if path.is_dir()]
    before = time.time() - MIN_AGE_SECONDS
    half_written = [
        Leftover(path, "half-written")
        for folder in (project.runs, project.results, project.report, project.build, project.data)
        for path in sorted(folder.rglob(TEMPORARY_PATTERN))
        if path.is_file() and path.stat().st_mtime < before
    ]
    store_folder = project.store.resolve().parent  # mlflow.db may be a link
    old = [
        *_all_but_the_newest(project.runs, f"{ASIDE}*", before, "a store that was set aside before the last one"),
        *_all_but_the_newest(store_folder, f"{STORE}.before-*", before, "a backup of the store before the last one"),
    ]
    return finished + half_written + old


def _all_but_the_newest(folder: Path, pattern: str, before: float, reason: str) -> list[Leftover]:
    found = sorted((path.lstat().st_mtime, path) for path in folder.glob(pattern) if not path.is_symlink())
    return [Leftover(path, reason) for made, path in found[:-1] if made < before]
