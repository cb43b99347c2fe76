"""Exact evaluation on the test set, on the CPU: the same numbers whatever the model was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from piecewise.data.resident import CHUNK, ChunkLoader
from piecewise.data.spec import Examples
from piecewise.losses.likelihood import NegativeLogLikelihood


@dataclass(frozen=True)
class Evaluation:
    """Metrics by name, and the network's outputs for every test example, (N, D_o)."""

    metrics: dict[str, float]
    outputs: Tensor


@torch.no_grad()
def outputs_of(model: nn.Module, examples: Examples, chunk_size: int = CHUNK) -> Tensor:
    """The network's outputs for each example, (N, D_o), in the model's precision; a chunk at a time."""
    model.eval()
    dtype = next(model.parameters()).dtype
    return torch.cat([model(batch.x.to(dtype)) for batch in ChunkLoader(examples, chunk_size)])


def exact_values(loss: NegativeLogLikelihood, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood and score of each example, (N,) both, in float64 from the network's outputs on."""
    outputs, targets = outputs.double(), targets.double() if targets.is_floating_point() else targets
    return loss.nll(outputs, targets), loss.scores(outputs, targets).double()


@torch.no_grad()
def evaluate(model: nn.Module, loss: NegativeLogLikelihood, test: Examples, chunk_size: int = CHUNK) -> Evaluation:
    """`test/nll` in nats and `test/<score>`, means over the unpadded set; sums are exact (`math.fsum`)."""
    outputs = outputs_of(model, test, chunk_size)
    nll, score = (math.fsum(values.tolist()) / len(test) for values in exact_values(loss, outputs, test.y))
    return Evaluation({"test/nll": nll, f"test/{loss.score}": score}, outputs)
