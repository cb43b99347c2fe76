"""Measure the networks of a sweep as one ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from piecewise.analysis.trained import load_trained
from piecewise.errors import BadInput
from piecewise.jobs.build import build_parts
from piecewise.jobs.job import Job, read_job
from piecewise.journal.run_folder import RunFolder
from piecewise.losses.mixture import Mixture
from piecewise.models.ensemble import Ensemble
from piecewise.training.evaluation import evaluate

SHARED = ("data", "loss", "trainer.precision")  # members must agree in these for their outputs to have a mean


def measure_ensemble(folders: Sequence[RunFolder]) -> dict[str, float]:
    """The test metrics of the mean of the runs' outputs. Nothing is written.

    Raises BadInput if the runs differ in one of SHARED, or have a loss whose outputs have no mean.
    """
    jobs = [read_job(folder.job) for folder in folders]
    first = jobs[0]
    for job in jobs[1:]:
        for key in SHARED:
            if _option(job, key) != _option(first, key):
                raise BadInput(f"{first.title} and {job.title} differ in {key}; allowed: members with the same one")
    parts = build_parts(first.config)
    if isinstance(parts.loss, Mixture):
        raise BadInput("loss=mixture: its components have no order, so outputs have no mean; allowed: any other loss")
    members = [load_trained(folders[0], parts), *(load_trained(folder) for folder in folders[1:])]
    test = parts.source.test(parts.loss.kind)
    return evaluate(Ensemble([member.model for member in members]), parts.loss, test).metrics


def _option(job: Job, key: str) -> Any:
    return reduce(lambda config, name: config[name], key.split("."), job.frozen)
