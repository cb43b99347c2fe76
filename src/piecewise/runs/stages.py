"""What every stage of `dvc repro` does besides its own work."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from piecewise.data.idx import AlteredFile
from piecewise.durable import alone, write_atomic
from piecewise.errors import BadInput, TryAgain
from piecewise.jobs.job import Job, canonical
from piecewise.journal.folder import RunFolder
from piecewise.runs.orphan import end_with_starter
from piecewise.runs.places import Places
from piecewise.runs.train import prepare

PATIENCE = 15.0  # seconds that a stage waits for the same one of a `dvc repro` that has just died
KEY = "key"  # in the live folder of a stage: what it trains


def run_stage(stage: Callable[..., int], *arguments: str) -> int:
    """A stage's exit code; when it meets a data file that was altered behind DVC's back, DVC is made to look again."""
    if "DVC_STAGE" in os.environ:  # and not started by hand
        end_with_starter()
    try:
        return stage(*arguments)
    except AlteredFile as error:
        # DVC trusts size and time. With a new time it hashes the file, and restores it from its cache.
        error.path.touch()
        raise BadInput(f"{error}; `dvc repro` once more restores it from DVC's cache") from error


@contextmanager
def live_stage(jobs: list[Job]) -> Iterator[tuple[Places, bool]]:
    """Where an experiment's jobs train, and whether they go on with what a killed `dvc repro` has left there.

    They do if jobs, data, source and lock are the same. At the end the journals are published as the stage's out, and
    nothing stays behind. Raises TryAgain while the same stage runs in another process.
    """
    folder = RunFolder.of_live_stage(jobs[0].name, "any").checkpoints.parent
    try:
        with alone(folder.with_suffix(".lock"), PATIENCE):
            key = hashlib.sha256(canonical([prepare(job)["run_key"] for job in jobs]).encode())
            is_resumed = _key_of(folder) == key.hexdigest()
            if not is_resumed:
                shutil.rmtree(folder, ignore_errors=True)
                write_atomic(folder / KEY, key.hexdigest().encode())
            places = Places.of_stage(jobs)
            yield places, is_resumed
            for run in {places.parent, *places.jobs}:
                if run.journal.is_file():
                    published = RunFolder.of_stage(jobs[0].name, run.checkpoints.name)
                    write_atomic(published.journal, run.journal.read_bytes())
            (folder / KEY).unlink()  # first, so that nobody goes on with what is half removed
            shutil.rmtree(folder)
    except BlockingIOError as error:
        raise TryAgain(f"train@{jobs[0].name} runs in another process; stop that, or wait for it") from error


def _key_of(folder: Path) -> str | None:
    path = folder / KEY
    return path.read_text() if path.is_file() else None
