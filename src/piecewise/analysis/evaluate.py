"""Measure trained jobs on their test set: each alone, or the jobs of a sweep as one ensemble."""

from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import save

from piecewise.analysis.figure_arrays import arrays_of
from piecewise.analysis.trained import load_trained
from piecewise.data.spec import Examples
from piecewise.data.synthetic import Synthetic
from piecewise.durable import write_atomic, write_json
from piecewise.errors import BadInput
from piecewise.extras import Extras
from piecewise.jobs.build import Parts, build_parts
from piecewise.jobs.digests import decisive
from piecewise.jobs.job import Job, read_job
from piecewise.jobs.run_key import describe_input
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.losses.mixture import Mixture
from piecewise.losses.squared_error import SquaredError
from piecewise.models.ensemble import Ensemble
from piecewise.models.linear import Linear
from piecewise.theory.closed_form import least_squares
from piecewise.theory.floor import nll_floor
from piecewise.training.evaluation import Evaluation, evaluate


def evaluate_run(folder: RunFolder, parts: Parts | None = None) -> dict[str, float]:
    """Measure the run. Write its metrics and arrays, the digests of its weights and data, and what had to be left out.

    `parts` are those the run was trained with; without them the job is built again.
    """
    parts, extras = load_trained(folder, parts), Extras(read_job(folder.job).title)
    test = parts.source.test(parts.loss.kind)
    found = _measure(parts, test, extras)
    write_atomic(folder.arrays, save(arrays_of(parts, test, found.outputs, folder, extras)))
    inputs = {"testing": describe_input(parts.source, parts.config.data, "test")}
    evaluated = {"weights_digest": read_result(folder)["weights_digest"], "inputs": inputs}
    write_json(folder.evaluated, evaluated | {"left_out": extras.left_out})
    write_json(folder.metrics, found.metrics)
    return found.metrics


def measure(folder: RunFolder) -> dict[str, float]:
    """The metrics of the run's weights on its test set. Nothing is written."""
    parts, extras = load_trained(folder), Extras(read_job(folder.job).title)
    return _measure(parts, parts.source.test(parts.loss.kind), extras).metrics


def measure_ensemble(folders: Sequence[RunFolder]) -> dict[str, float]:
    """The test metrics of the mean of the runs' outputs. Nothing is written.

    Raises BadInput if their outputs have no mean: the runs differ in data, loss or precision, their data have changed
    since, or they are mixtures.
    """
    first, *others = (read_job(folder.job) for folder in folders)
    shared = _shared(first)
    for job in others:
        for key, value in _shared(job).items():
            if value != shared[key]:
                raise BadInput(f"{first.title} and {job.title} differ in {key}; allowed: members with the same one")
    parts = build_parts(first.config)
    if isinstance(parts.loss, Mixture):
        raise BadInput("loss=mixture: its components have no order, so outputs have no mean; allowed: any other loss")
    current = parts.source.digest("train")
    for job, folder in zip((first, *others), folders, strict=True):
        if read_result(folder)["digests"]["data"] != current:
            raise BadInput(f"{job.title}: its training data have changed since: {job.config.data.location}")
    members = [load_trained(folders[0], parts), *(load_trained(folder) for folder in folders[1:])]
    test = parts.source.test(parts.loss.kind)
    return evaluate(Ensemble([member.model for member in members]), parts.loss, test).metrics


def _shared(job: Job) -> dict[str, Any]:
    """The options in which members must agree for their outputs to have a mean."""
    config = decisive(job.frozen)
    return {"data": config["data"], "loss": config["loss"], "trainer.precision": config["trainer"].get("precision")}


def _measure(parts: Parts, test: Examples, extras: Extras) -> Evaluation:
    found, source = evaluate(parts.model, parts.loss, test), parts.source
    if _has_closed_form(parts):
        distance = extras.make("distance_to_closed_form", lambda: distance_to_closed_form(parts))
        if distance is not None:
            found.metrics["distance_to_closed_form"] = distance
    if isinstance(source, Synthetic):
        floor = extras.make("test/nll_floor", lambda: nll_floor(source, parts.loss))
        if floor is not None:
            found.metrics["test/nll_floor"] = floor
    return found


def metric_names(parts: Parts) -> list[str]:
    """The metrics that such a job may have; those after the first two may be left out."""
    names = ["test/nll", f"test/{parts.loss.score}"]
    names += ["distance_to_closed_form"] if _has_closed_form(parts) else []
    return [*names, "test/nll_floor"] if isinstance(parts.source, Synthetic) else names


def _has_closed_form(parts: Parts) -> bool:
    return isinstance(parts.model, Linear) and isinstance(parts.loss, SquaredError)


@torch.no_grad()
def distance_to_closed_form(parts: Parts) -> float:
    """‖φ − φ*‖ between the trained coefficients and the least-squares ones on the same training examples.

    Raises Unavailable if the examples do not determine the coefficients.
    """
    assert isinstance(parts.model, Linear)
    train, _ = parts.examples
    intercept, slopes = least_squares(train.x.flatten(1), train.y)
    layer = parts.model.output
    found = torch.cat([layer.bias.double()[:, None], layer.weight.double()], dim=1)
    return float((found - torch.cat([intercept[:, None], slopes], dim=1)).norm())
