"""Exact evaluation on the test set, on the CPU: the same numbers whatever the model was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from piecewise.data.resident import ChunkLoader
from piecewise.data.spec import Examples
from piecewise.losses.likelihood import NegativeLogLikelihood


@dataclass(frozen=True)
class Evaluation:
    """Metrics by name, and the network's outputs for every test example, (N, D_o)."""

    metrics: dict[str, float]
    outputs: Tensor


@torch.no_grad()
def outputs_of(model: nn.Module, examples: Examples) -> Tensor:
    """The network's outputs for each example, (N, D_o), in the model's precision; a chunk at a time."""
    model.eval()
    dtype = next(model.parameters()).dtype
    return torch.cat([model(batch.x.to(dtype)) for batch in ChunkLoader(examples)])


@torch.no_grad()
def evaluate(model: nn.Module, loss: NegativeLogLikelihood, test: Examples) -> Evaluation:
    """`test/nll` in nats and `test/<score>`, means over the unpadded set.

    Per-example values in float64, added exactly (`math.fsum`) in the order of the examples.
    """
    outputs = outputs_of(model, test)
    y = test.y.double() if test.y.is_floating_point() else test.y
    nll = loss.nll(outputs.double(), y).tolist()
    scores = loss.scores(outputs.double(), y).tolist()
    metrics = {"test/nll": math.fsum(nll) / len(test), f"test/{loss.score}": math.fsum(scores) / len(test)}
    return Evaluation(metrics, outputs)
