"""The run folders of one command: one for each job, and one for the parent of several."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from piecewise.durable import write_atomic
from piecewise.errors import FULL, BadInput, TryAgain
from piecewise.jobs.job import Job, write_jobs
from piecewise.journal.names import folder_name, new_id
from piecewise.journal.run_folder import SWEEP, RunFolder
from piecewise.project import Project

MIN_FREE_BYTES = 100_000_000  # below this nothing is started
JOBS = "jobs.json"  # in a sweep's folder: all its jobs, so that a resumed sweep knows those it never started


@dataclass(frozen=True)
class JobFolders:
    """A single job has `root` to itself; the jobs of a sweep have numbered folders below it."""

    id: str  # of the single run, or of the parent; a new folder is named after it
    root: Path
    parent: RunFolder
    jobs: list[RunFolder]

    @classmethod
    def below(cls, root: Path, count: int, run_id: str = "") -> JobFolders:
        """The folders of `count` jobs that `piecewise train` runs in `root`."""
        parent = RunFolder.at(root)
        children = [RunFolder.at(root / f"{number:04d}") for number in range(count)]
        return cls(run_id, root, parent, children if count > 1 else [parent])

    @classmethod
    def new(cls, jobs: list[Job]) -> JobFolders:
        """A new folder for these jobs. Raises as `check_writable` does."""
        run_id = new_id()
        folders = cls.below(Project().runs / f"{run_id}-{folder_name(jobs[0].name)}", len(jobs), run_id)
        check_writable(folders.root.parent)
        if len(jobs) > 1:
            write_jobs(folders.root / JOBS, jobs[0].name, jobs)
        return folders

    @classmethod
    def of_stage(cls, jobs: list[Job]) -> JobFolders:
        """Where a stage of `dvc repro` trains."""
        name = jobs[0].name
        folders = [RunFolder.of_live_stage(name, job.folder_name) for job in jobs]
        return cls(new_id(), Project().results, RunFolder.of_live_stage(name, SWEEP), folders)


def new_ids(count: int) -> list[str]:
    """Ids for the runs of a sweep, all different."""
    ids = dict.fromkeys(new_id() for _ in range(count))
    while len(ids) < count:
        ids[new_id()] = None
    return list(ids)


def check_writable(folder: Path) -> None:
    """Write a file in `folder`, making it if need be. Raises TryAgain if the disk is nearly full, else BadInput."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        write_atomic(probe, b"piecewise")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        problem = f"{folder.absolute()} cannot be written: {error.strerror}; nothing was started"
        if error.errno in FULL:
            raise TryAgain(f"{problem}; piecewise clean makes room") from error
        raise BadInput(problem) from error
    if free < MIN_FREE_BYTES:
        raise TryAgain(
            f"{folder.absolute()}: the disk has {free // 10**6} MB left, a run wants {MIN_FREE_BYTES // 10**6} MB; "
            "piecewise clean makes room"
        )
