"""Where a train stage of `dvc repro` works, and how it goes on after it was killed."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from piecewise.durable import alone, has_writer, write_atomic
from piecewise.dvc_files import recorded_stage
from piecewise.errors import TryAgain
from piecewise.execution.places import Places
from piecewise.jobs.build import build_data
from piecewise.jobs.job import Job, canonical
from piecewise.jobs.run_key import identify
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import JOURNAL
from piecewise.project import Project

PATIENCE = 15.0  # seconds that a stage waits for the same one of a `dvc repro` that has just died
KEY = "key"  # in the live folder of a stage: what it trains, and once it has, what dvc.lock said of it


@contextmanager
def live_stage(jobs: list[Job]) -> Iterator[tuple[Places, bool]]:
    """Where an experiment's jobs train, and whether they go on with what a killed `dvc repro` has left there.

    They do if jobs, data, source and lock are the same and DVC has not recorded the stage since. At the end the
    journals are published as the stage's out. What is live stays, for a DVC that is killed before it has recorded that.
    Raises TryAgain while the same stage runs in another process.
    """
    name = jobs[0].name
    folder = RunFolder.of_live_stage(name, "any").checkpoints.parent
    busy = TryAgain(f"train@{name} runs in another process; stop that, or wait for it")
    try:
        with alone(folder.with_suffix(".lock"), PATIENCE):
            _wait_for_ranks(folder, busy)
            keys = [identify(job, build_data(job.config.data))["run_key"] for job in jobs]
            key = hashlib.sha256(canonical(keys).encode()).hexdigest()
            is_resumed = _key_of(folder) in (key, key + _recorded(name))
            if not is_resumed:
                shutil.rmtree(folder, ignore_errors=True)
            write_atomic(folder / KEY, key.encode())
            places = Places.of_stage(jobs)
            yield places, is_resumed
            for run in {places.parent, *places.jobs}:
                if run.journal.is_file():
                    write_atomic(RunFolder.of_stage(name, run.checkpoints.name).journal, run.journal.read_bytes())
            write_atomic(folder / KEY, (key + _recorded(name)).encode())
    except BlockingIOError as error:
        raise busy from error


def _wait_for_ranks(folder: Path, busy: TryAgain) -> None:
    """Until those of a stage that was killed have ended too: they hold its journals. Raises `busy`."""
    deadline = time.monotonic() + PATIENCE
    while any(has_writer(path) for path in folder.glob(f"*/{JOURNAL}")):
        if time.monotonic() > deadline:
            raise busy
        time.sleep(0.1)


def _key_of(folder: Path) -> str | None:
    path = folder / KEY
    return path.read_text() if path.is_file() else None


def _recorded(name: str) -> str:
    """A digest of what dvc.lock says of the stage: it changes when DVC records it."""
    return hashlib.sha256(canonical(recorded_stage(Project(), f"train@{name}")).encode()).hexdigest()
