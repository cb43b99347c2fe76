"""Files and folders of a project that are no longer needed. Nothing that a process may still write is removed."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from piecewise.errors import FULL
from piecewise.execution.stage_key import is_recorded
from piecewise.journal.run_folder import RunFolder, all_runs, busy
from piecewise.locks import has_writer
from piecewise.manifest import JOURNAL, TEMPORARY_PATTERN, update_manifest
from piecewise.processes import PROC
from piecewise.project import STORE, Project
from piecewise.tracking.store.embedded import ASIDE
from piecewise.training import checkpoint_files

MIN_AGE_SECONDS = 3600  # a younger temporary file may still be written


@dataclass(frozen=True)
class Leftover:
    """A file or folder that can be removed, and why."""

    path: Path
    reason: str
    run: RunFolder | None = None  # whose checkpoints these are

    @property
    def files(self) -> list[Path]:
        """What is removed. In the pipeline the journal of a run lies beside its checkpoints, and stays."""
        if self.run is not None and self.run.is_of_pipeline:
            return checkpoint_files.files(self.path)
        return list(_files_below(self.path)) if self.path.is_dir() else [self.path]

    @property
    def num_bytes(self) -> int:
        total = 0
        for path in self.files:
            with suppress(FileNotFoundError):  # another process has removed it
                total += path.stat().st_size
        return total


def remove(item: Leftover) -> None:
    """Remove a leftover, and its entries in a run's manifest. Raises TryAgain if a process works on the run."""
    if item.run is not None:
        with item.run.held():  # nobody trains, evaluates or resumes the run from now on
            _remove_checkpoints(item, item.run)
    elif item.path.is_dir():
        shutil.rmtree(item.path)
    else:
        item.path.unlink(missing_ok=True)


def _remove_checkpoints(item: Leftover, run: RunFolder) -> None:
    if has_writer(_live_journal(run)):  # by a rank whose command was killed
        raise busy(_live_journal(run))
    if not _is_over(run):  # it has begun again since it was listed
        return
    files, sealed = item.files, item.path if run.is_of_pipeline else item.path.parent
    _forget(sealed, files)
    for path in files:
        path.unlink(missing_ok=True)
    if not run.is_of_pipeline:
        shutil.rmtree(item.path)


def _forget(sealed: Path, files: list[Path]) -> None:
    """Take `files` out of the manifest, before they are removed.

    A file that is not in the manifest is removed by the next `piecewise clean`, should this one be killed.
    """
    # A checkpoint and its seal differ in their suffix; an earlier attempt may have removed one of them.
    names = {path.with_suffix(suffix) for path in files for suffix in (path.suffix, ".ckpt", ".json")}
    removed = [path.relative_to(sealed).as_posix() for path in names]
    try:
        update_manifest(sealed, [], removed)
    except OSError as error:
        if not files or error.errno not in FULL:
            raise
        # A full disk has no room for another manifest. Until it is written, `verify` says that this file is missing.
        max(files, key=lambda path: path.stat().st_size).unlink()
        update_manifest(sealed, [], removed)


def leftovers(project: Project) -> list[Leftover]:
    """Checkpoints of finished runs, temporary files of killed writers, and old stores except the newest."""
    before = time.time() - MIN_AGE_SECONDS
    half_written = [
        Leftover(path, "half-written")
        for folder in (project.runs, project.results, project.report, project.build, project.data)
        for path in sorted(_files_below(folder, TEMPORARY_PATTERN))
        if _is_abandoned(path, before)
    ]
    store_folder = project.store.resolve().parent  # mlflow.db may be a link
    old = [
        *_all_but_the_newest(project.runs, f"{ASIDE}*", before, "a store that was set aside before the last one"),
        *_all_but_the_newest(store_folder, f"{STORE}.before-*", before, "a backup of the store before the last one"),
    ]
    return [*_checkpoints(project), *half_written, *old]


def _checkpoints(project: Project) -> Iterator[Leftover]:
    for folder in all_runs(project):
        item = Leftover(project / folder.checkpoints, "checkpoints of a finished run", folder)
        exists = bool(item.files) if folder.is_of_pipeline else item.path.is_dir()
        if exists and _is_over(folder) and not (has_writer(folder.lock) or has_writer(_live_journal(folder))):
            yield item


def _is_over(run: RunFolder) -> bool:
    """Whether nothing will continue from the run's checkpoints. `dvc repro` continues until DVC has the results."""
    return run.result.is_file() and (not run.is_of_pipeline or is_recorded(run.checkpoints.parent))


def _live_journal(run: RunFolder) -> Path:
    return run.checkpoints / JOURNAL if run.is_of_pipeline else run.journal


def _is_abandoned(path: Path, before: float) -> bool:
    """Whether a temporary file is old, and the process in its name is gone."""
    number = path.suffixes[-2].removeprefix(".") if len(path.suffixes) > 1 else ""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime < before and not (number.isdecimal() and (PROC / number).exists())
    return False


def _files_below(folder: Path, pattern: str = "*") -> Iterator[Path]:
    """The files below a folder. Other processes may add and remove some meanwhile."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if fnmatch(name, pattern))


def _all_but_the_newest(folder: Path, pattern: str, before: float, reason: str) -> list[Leftover]:
    found = sorted((path.lstat().st_mtime, path) for path in folder.glob(pattern) if not path.is_symlink())
    return [Leftover(path, reason) for made, path in found[:-1] if made < before]
