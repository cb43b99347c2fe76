"""Finished runs whose results a sweep takes over, and what it records of them."""

from __future__ import annotations

from collections.abc import Sequence

from piecewise.durable import read_json
from piecewise.execution.executors.contract import Outcome
from piecewise.jobs.job import Job
from piecewise.journal.finished import by_run_key
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project


def finished_runs(jobs: Sequence[Job], run_keys: Sequence[str]) -> dict[int, RunFolder]:
    """Finished runs of the project that have the results of jobs, by the jobs' numbers."""
    known, found = by_run_key(Project()), {}
    for number, (job, key) in enumerate(zip(jobs, run_keys, strict=True)):
        folder = known[key].folder if key in known else None
        if folder is not None and folder.is_done and (folder.metrics.is_file() or not job.config.evaluate):
            found[number] = folder
    return found


def metrics_of(folder: RunFolder) -> dict[str, float]:
    """The test metrics of a run; empty if it was not evaluated."""
    return read_json(folder.metrics) if folder.metrics.is_file() else {}


def outcome_of(state: str, folder: RunFolder) -> Outcome:
    """That of a run that is done."""
    return Outcome(state, metrics_of(folder), read_result(folder)["val_nll"])
