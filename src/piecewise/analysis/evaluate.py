"""Evaluate one trained job on its test set: the only place that opens one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import Tensor

from piecewise.analysis.figure_arrays import arrays_of
from piecewise.data.stored import digest_tensors
from piecewise.data.synthetic import Synthetic
from piecewise.durable import write_atomic, write_json
from piecewise.errors import BadInput
from piecewise.jobs import build
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job, read_job
from piecewise.jobs.run_key import describe_input
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.losses.squared_error import SquaredError
from piecewise.models.linear import Linear
from piecewise.theory.closed_form import least_squares
from piecewise.training.evaluation import evaluate
from piecewise.training.weights_file import load_weights


@dataclass(frozen=True)
class Measured:
    """Metrics by name, and the arrays that figures are drawn from."""

    metrics: dict[str, float]
    arrays: dict[str, Tensor]


def evaluate_run(folder: RunFolder) -> dict[str, float]:
    """Measure the run and keep what came of it: metrics, arrays, and which weights and data they are of."""
    measured = measure(folder)
    arrays = {name: array.clone(memory_format=torch.contiguous_format) for name, array in measured.arrays.items()}
    write_atomic(folder.arrays, save(arrays))
    weights_digest = read_result(folder)["weights_digest"]
    inputs = {"testing": describe_input(read_job(folder.job).config.data, "test")}
    write_json(folder.evaluation / "evaluated.json", {"weights_digest": weights_digest, "inputs": inputs})
    write_json(folder.metrics, measured.metrics)
    return measured.metrics


def measure(folder: RunFolder) -> Measured:
    """Evaluate the run's weights on its test set. Nothing is written."""
    job = read_job(folder.job)
    parts = load_parts(job, folder)
    test = parts.source.test(parts.loss.kind)
    evaluation = evaluate(parts.model, parts.loss, test)
    metrics = dict(evaluation.metrics)
    if isinstance(parts.model, Linear) and isinstance(parts.loss, SquaredError):
        metrics["distance_to_closed_form"] = distance_to_closed_form(job, parts)
    if isinstance(parts.source, Synthetic) and math.isfinite(floor := parts.source.nll_floor()):
        metrics["test/nll_floor"] = floor  # without noise there is none
    train = parts.source.train(parts.loss.kind)
    return Measured(metrics, arrays_of(parts, train, test, evaluation.outputs, folder))


def load_parts(job: Job, folder: RunFolder) -> Parts:
    """The job's parts with the trained weights in the model, in the precision they were trained in.

    Raises BadInput if the weights are not the ones that the training recorded.
    """
    recorded = read_result(folder)["weights_digest"]
    weights = load_weights(folder.weights)
    if digest_tensors(weights) != recorded:
        raise BadInput(f"{folder.weights} was altered: its digest is {digest_tensors(weights)}, recorded is {recorded}")
    parts = build.build_parts(job.config)
    parts.model.to(next(value.dtype for value in weights.values() if value.is_floating_point()))
    parts.model.load_state_dict(weights)
    return parts


@torch.no_grad()
def distance_to_closed_form(job: Job, parts: Parts) -> float:
    """‖φ − φ*‖ between the trained coefficients and the least-squares ones on the same training examples."""
    assert isinstance(parts.model, Linear)
    train, _ = build.build_examples(job.config, parts)
    intercept, slopes = least_squares(train.x.flatten(1), train.y)
    layer = parts.model.output
    found = torch.cat([layer.bias.double()[:, None], layer.weight.double()], dim=1)
    return float((found - torch.cat([intercept[:, None], slopes], dim=1)).norm())
