"""Where the runs of a session go, and whether they can."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from piecewise.durable import write_atomic
from piecewise.errors import BadInput
from piecewise.jobs.job import Job, write_jobs
from piecewise.journal.run_folder import SWEEP, RunFolder, new_id

SPACE = 100_000_000  # bytes that must be free before anything starts
JOBS = "jobs.json"  # in a sweep's folder: all of its jobs, so that those never started are not lost


@dataclass(frozen=True)
class Places:
    """A folder for each job, and one for the parent of several."""

    id: str  # of the single run, or of the parent; a new folder is named after it
    root: Path  # what a person would look into
    parent: RunFolder
    jobs: list[RunFolder]

    @classmethod
    def below(cls, root: Path, count: int, run_id: str = "") -> Places:
        """For `piecewise train`: a single run has the place to itself."""
        parent = RunFolder.at(root)
        children = [RunFolder.at(root / f"{number:04d}") for number in range(count)]
        return cls(run_id, root, parent, children if count > 1 else [parent])

    @classmethod
    def new(cls, jobs: list[Job]) -> Places:
        """A new folder for these jobs. Raises BadInput if nothing can be written there."""
        run_id = new_id()
        places = cls.below(Path("runs") / f"{run_id}-{jobs[0].name}", len(jobs), run_id)
        check_writable(places.root.parent)
        if len(jobs) > 1:
            write_jobs(places.root / JOBS, jobs[0].name, jobs)
        return places

    @classmethod
    def of_stage(cls, jobs: list[Job]) -> Places:
        """For `dvc repro`, while it trains."""
        name = jobs[0].name
        folders = [RunFolder.of_live_stage(name, job.folder_name) for job in jobs]
        return cls(new_id(), Path("results"), RunFolder.of_live_stage(name, SWEEP), folders)


def check_writable(folder: Path) -> None:
    """Try to write in `folder`, made if need be. Raises BadInput if that fails, or if the disk is as good as full."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        write_atomic(probe, b"piecewise")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise BadInput(f"{folder.absolute()} cannot be written: {error.strerror}; nothing was started") from error
    if free < SPACE:
        raise BadInput(
            f"{folder.absolute()}: the disk has {free // 10**6} MB left, a run wants {SPACE // 10**6} MB; "
            "piecewise clean makes room"
        )
