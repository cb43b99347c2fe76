"""The run folders of one command: one for each job, and one for the parent of several."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from piecewise.durable import write_atomic
from piecewise.errors import BadInput
from piecewise.jobs.job import Job, write_jobs
from piecewise.journal.names import folder_name
from piecewise.journal.run_folder import SWEEP, RunFolder, new_id
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
        """A new folder for these jobs. Raises BadInput if nothing can be written there."""
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


def check_writable(folder: Path) -> None:
    """Write a file in `folder`, making it if need be. Raises BadInput if that fails or the disk is nearly full."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        write_atomic(probe, b"piecewise")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise BadInput(f"{folder.absolute()} cannot be written: {error.strerror}; nothing was started") from error
    if free < MIN_FREE_BYTES:
        raise BadInput(
            f"{folder.absolute()}: the disk has {free // 10**6} MB left, a run wants {MIN_FREE_BYTES // 10**6} MB; "
            "piecewise clean makes room"
        )
