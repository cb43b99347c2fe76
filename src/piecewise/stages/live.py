"""The live folder of a train stage: DVC deletes a stage's outs before it starts, but not this folder."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from piecewise.durable import file_lock, has_writer, write_atomic
from piecewise.dvc_files import recorded_stage
from piecewise.errors import TryAgain
from piecewise.execution.job_folders import JobFolders
from piecewise.jobs.build import build_data
from piecewise.jobs.job import Job, canonical_digest
from piecewise.jobs.run_key import identify
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import JOURNAL
from piecewise.project import Project

LOCK_TIMEOUT_SECONDS = 15.0  # how long the processes of a killed `dvc repro` may take to end
KEY = "key"  # file in the live folder: the run keys of its jobs; after training also the stage's entry in dvc.lock


@contextmanager
def live_stage(jobs: list[Job]) -> Iterator[tuple[JobFolders, bool]]:
    """The folders in which an experiment's jobs train, and whether they continue what a killed `dvc repro` left there.

    They continue if the run keys are the same and DVC has not recorded the stage since. At the end the journals are
    copied to the stage's outs. The live folder stays: DVC may be killed before it records the stage.
    Raises TryAgain while the same stage runs in another process.
    """
    name = jobs[0].name
    folder = RunFolder.of_live_stage(name, "any").checkpoints.parent
    busy = TryAgain(f"train@{name} runs in another process; stop that, or wait for it")
    try:
        with file_lock(folder.with_suffix(".lock"), LOCK_TIMEOUT_SECONDS):
            _wait_for_ranks(folder, busy)
            keys = [identify(job, build_data(job.config.data))["run_key"] for job in jobs]
            key, path = canonical_digest(keys), folder / KEY
            is_resumed = path.is_file() and path.read_text() in (key, key + _recorded(name))
            if not is_resumed:
                shutil.rmtree(folder, ignore_errors=True)
            write_atomic(path, key.encode())
            folders = JobFolders.of_stage(jobs)
            yield folders, is_resumed
            for run in {folders.parent, *folders.jobs}:
                if run.journal.is_file():
                    write_atomic(RunFolder.of_stage(name, run.checkpoints.name).journal, run.journal.read_bytes())
            write_atomic(path, (key + _recorded(name)).encode())
    except BlockingIOError as error:
        raise busy from error


def _wait_for_ranks(folder: Path, busy: TryAgain) -> None:
    """Wait until no rank of a killed stage holds a journal. Raises `busy`."""
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while any(has_writer(path) for path in folder.glob(f"*/{JOURNAL}")):
        if time.monotonic() > deadline:
            raise busy
        time.sleep(0.1)


def _recorded(name: str) -> str:
    """A digest of the stage's entry in dvc.lock, which changes when DVC records the stage."""
    return canonical_digest(recorded_stage(Project(), f"train@{name}"))
