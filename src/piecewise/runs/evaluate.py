"""Evaluate one trained job on its test set: the only place that opens one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from piecewise.data.spec import Examples, TargetKind
from piecewise.data.stored import digest_tensors
from piecewise.durable import write_atomic, write_json
from piecewise.errors import BadInput
from piecewise.jobs import build
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job, read_job
from piecewise.journal.folder import RunFolder
from piecewise.models.linear import Linear
from piecewise.runs.train import describe_input, read_result
from piecewise.theory.closed_form import least_squares
from piecewise.theory.regions import piecewise_linear
from piecewise.training.evaluation import evaluate
from piecewise.training.publish import load_weights

NUM_HARDEST = 12
GRID = 1001  # points at which a function that has no joints is drawn


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
    inputs = {"testing": describe_input(read_job(folder.job).config["data"], "test")}
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
    if isinstance(parts.model, Linear) and parts.loss.kind is TargetKind.REAL:
        metrics["distance_to_closed_form"] = distance_to_closed_form(job, parts)
    return Measured(metrics, _arrays(parts, test, evaluation.outputs))


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


def _arrays(parts: Parts, test: Examples, outputs: Tensor) -> dict[str, Tensor]:
    arrays: dict[str, Any] = {"outputs": outputs, "targets": test.y}
    if parts.spec.num_inputs == 1 and parts.loss.kind is not TargetKind.CLASS:
        train = parts.source.train(parts.loss.kind)
        arrays |= {"train_x": train.x.flatten(), "train_y": train.y} | _function(parts, test)
    elif len(parts.spec.input_shape) == 3 and parts.loss.kind is TargetKind.CLASS:
        hardest = most_confidently_wrong(outputs, test.y)
        arrays |= {"hardest": hardest, "hardest_x": test.x[hardest]}
    return arrays


def _function(parts: Parts, test: Examples) -> dict[str, Tensor]:
    """The network's function over the range of its inputs: by its joints if it is piecewise linear, else on a grid."""
    low, high = float(test.x.min()), float(test.x.max())
    exact = piecewise_linear(parts.model, low, high)
    joints = {} if exact is None else {"joints": exact.joints}
    if exact is not None and parts.loss.kind is TargetKind.REAL:
        return {"function_x": exact.knots, "function_y": exact.values} | joints
    grid = torch.linspace(low, high, GRID, dtype=next(parts.model.parameters()).dtype)
    with torch.no_grad():
        outputs = parts.model(grid[:, None])
    if parts.loss.kind is TargetKind.BINARY:  # a person wants to see the probability, not its logit
        return {"function_x": grid, "probability_y": outputs.sigmoid()} | joints
    return {"function_x": grid, "function_y": outputs} | joints


def most_confidently_wrong(logits: Tensor, targets: Tensor, count: int = NUM_HARDEST) -> Tensor:
    """The indices of the wrong predictions with the highest probability, at most `count`, worst first.

    logits: (N, C), targets: (N,) → (≤ count,) int64.
    """
    confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
    wrong = torch.nonzero(predicted != targets).flatten()
    return wrong[confidence[wrong].sort(descending=True, stable=True).indices[:count]]
