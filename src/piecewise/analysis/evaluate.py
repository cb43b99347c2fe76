"""Evaluate one trained job on its test set."""

from __future__ import annotations

import math

import torch
from safetensors.torch import save
from torch import Tensor

from piecewise.analysis.figure_arrays import arrays_of
from piecewise.analysis.trained import load_trained
from piecewise.data.spec import Examples
from piecewise.data.synthetic import Synthetic
from piecewise.durable import write_atomic, write_json
from piecewise.jobs.build import Parts
from piecewise.jobs.run_key import describe_input
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.losses.squared_error import SquaredError
from piecewise.models.linear import Linear
from piecewise.theory.closed_form import least_squares
from piecewise.training.evaluation import evaluate


def evaluate_run(folder: RunFolder, parts: Parts | None = None) -> dict[str, float]:
    """Measure the run and write its metrics and arrays, and which weights and data they are of.

    `parts` are those the run was trained with; without them the job is built again.
    """
    parts = load_trained(folder, parts)
    test = parts.source.test(parts.loss.kind)
    metrics, outputs = _measure(parts, test)
    arrays = arrays_of(parts, test, outputs, folder)
    contiguous = {name: array.clone(memory_format=torch.contiguous_format) for name, array in arrays.items()}
    write_atomic(folder.arrays, save(contiguous))
    inputs = {"testing": describe_input(parts.source, parts.config.data, "test")}
    weights_digest = read_result(folder)["weights_digest"]
    write_json(folder.evaluation / "evaluated.json", {"weights_digest": weights_digest, "inputs": inputs})
    write_json(folder.metrics, metrics)
    return metrics


def measure(folder: RunFolder) -> dict[str, float]:
    """The metrics of the run's weights on its test set. Nothing is written."""
    parts = load_trained(folder)
    return _measure(parts, parts.source.test(parts.loss.kind))[0]


def _measure(parts: Parts, test: Examples) -> tuple[dict[str, float], Tensor]:
    """The metrics on the test set, and the outputs."""
    evaluation = evaluate(parts.model, parts.loss, test)
    metrics = dict(evaluation.metrics)
    if isinstance(parts.model, Linear) and isinstance(parts.loss, SquaredError):
        metrics["distance_to_closed_form"] = distance_to_closed_form(parts)
    if isinstance(parts.source, Synthetic) and math.isfinite(floor := parts.source.nll_floor()):
        metrics["test/nll_floor"] = floor  # data without noise has none
    return metrics, evaluation.outputs


@torch.no_grad()
def distance_to_closed_form(parts: Parts) -> float:
    """‖φ − φ*‖ between the trained coefficients and the least-squares ones on the same training examples."""
    assert isinstance(parts.model, Linear)
    train, _ = parts.examples
    intercept, slopes = least_squares(train.x.flatten(1), train.y)
    layer = parts.model.output
    found = torch.cat([layer.bias.double()[:, None], layer.weight.double()], dim=1)
    return float((found - torch.cat([intercept[:, None], slopes], dim=1)).norm())
