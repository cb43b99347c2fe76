"""The live folder of a train stage: DVC deletes a stage's outs before it starts, but not this folder."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from piecewise.durable import write_atomic
from piecewise.errors import TryAgain
from piecewise.execution.job_folders import JobFolders
from piecewise.execution.stage_key import is_continued, write_key
from piecewise.jobs.build import build_data
from piecewise.jobs.digests import canonical_digest
from piecewise.jobs.job import Job
from piecewise.jobs.run_key import identify
from piecewise.journal.names import train_stage
from piecewise.journal.run_folder import RunFolder
from piecewise.locks import file_lock, has_writer, holder
from piecewise.manifest import JOURNAL

LOCK_TIMEOUT_SECONDS = 15.0  # how long the processes of a killed `dvc repro` may take to end


@contextmanager
def live_stage(jobs: list[Job]) -> Iterator[tuple[JobFolders, bool]]:
    """The folders in which an experiment's jobs train, and whether they continue what a killed `dvc repro` left there.

    They continue if the run keys are the same and DVC has not recorded the stage since. At the end the journals are
    copied to the stage's outs. The live folder stays: DVC may be killed before it records the stage.
    Raises TryAgain while the same stage runs in another process.
    """
    name = jobs[0].name
    any_run = RunFolder.of_live_stage(name, "any")
    folder = any_run.checkpoints.parent
    with file_lock(any_run.lock, LOCK_TIMEOUT_SECONDS, partial(_busy, name)):
        _wait_for_ranks(folder, name)
        key = canonical_digest([identify(job, build_data(job.config.data))["run_key"] for job in jobs])
        is_resumed = is_continued(folder, key)
        if not is_resumed:
            shutil.rmtree(folder, ignore_errors=True)
        write_key(folder, key)
        folders = JobFolders.of_stage(jobs)
        yield folders, is_resumed
        for run in {folders.parent, *folders.jobs}:
            if run.journal.is_file():
                write_atomic(RunFolder.of_stage(name, run.checkpoints.name).journal, run.journal.read_bytes())
        write_key(folder, key, is_over=True)


def _wait_for_ranks(folder: Path, name: str) -> None:
    """Wait until no rank of a killed stage holds a journal. Raises TryAgain."""
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while written := [path for path in folder.glob(f"*/{JOURNAL}") if has_writer(path)]:
        if time.monotonic() > deadline:
            raise _busy(name, written[0])
        time.sleep(0.1)


def _busy(name: str, path: Path) -> TryAgain:
    return TryAgain(f"{train_stage(name)} runs in {holder(path)}; stop that, or wait for it")
