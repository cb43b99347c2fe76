"""Exact evaluation on the test set, on the CPU: the same numbers whichever device trained the model."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from piecewise.data.resident import CHUNK_SIZE, ChunkLoader
from piecewise.data.spec import Examples
from piecewise.errors import NonFiniteLoss
from piecewise.losses.likelihood import NegativeLogLikelihood


@dataclass(frozen=True)
class Evaluation:
    """Metrics by name, and the network's outputs for each test example, (N, D_o)."""

    metrics: dict[str, float]
    outputs: Tensor


@torch.no_grad()
def outputs_of(model: nn.Module, examples: Examples, chunk_size: int = CHUNK_SIZE) -> Tensor:
    """The network's outputs for each example, (N, D_o), in the model's precision, computed in chunks."""
    model.eval()
    dtype = next(model.parameters()).dtype
    return torch.cat([model(batch.x.to(dtype)) for batch in ChunkLoader(examples, chunk_size)])


def are_not_finite(outputs: Tensor) -> Tensor:
    """Which examples have an output that is NaN or infinite.  outputs: (N, D_o) → (N,) of bool."""
    return (~torch.isfinite(outputs)).any(dim=1)


def exact_values(loss: NegativeLogLikelihood, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood and score of each example, both (N,), computed from the outputs in float64.

    Both are NaN where an output is not finite: PyTorch's distributions would raise ValueError for such parameters.
    """
    outputs, targets = outputs.double(), targets.double() if targets.is_floating_point() else targets
    is_wrong = are_not_finite(outputs)
    outputs = outputs.masked_fill(is_wrong[:, None], 0)
    nll, score = loss.nll(outputs, targets), loss.scores(outputs, targets).double()
    return nll.masked_fill(is_wrong, math.nan), score.masked_fill(is_wrong, math.nan)


@torch.no_grad()
def evaluate(model: nn.Module, loss: NegativeLogLikelihood, test: Examples, chunk_size: int = CHUNK_SIZE) -> Evaluation:
    """Mean `test/nll` in nats and mean `test/<score>` over the test set; sums are exact (`math.fsum`).

    Raises NonFiniteLoss if an output is NaN or infinite: no distribution has such parameters.
    """
    outputs = outputs_of(model, test, chunk_size)
    num_wrong = int(are_not_finite(outputs).sum())
    if num_wrong:
        raise NonFiniteLoss(f"the model's outputs are not finite for {num_wrong} of {len(test)} test examples")
    nll, score = (math.fsum(values.tolist()) / len(test) for values in exact_values(loss, outputs, test.y))
    return Evaluation({"test/nll": nll, f"test/{loss.score}": score}, outputs)
