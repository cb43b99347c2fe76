"""A ReLU network as a list of steps in float64, from which the exact theory is computed."""

from dataclasses import dataclass
from enum import Enum, auto

import torch
from torch import Tensor, nn

from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.residual import Residual
from piecewise.models.shallow import Shallow


@dataclass(frozen=True)
class Affine:
    """h ← Ωh + β.  weight: (D_out, D_in), bias: (D_out,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, h: Tensor) -> Tensor:
        return h @ self.weight.T + self.bias


class Step(Enum):
    """A step other than an affine map; a residual path saves h and adds it later."""

    RELU = auto()
    SAVE = auto()
    ADD = auto()


Program = list[Affine | Step]

STRAIGHT = (
    1e-12  # relative to the steeper side: a smaller change of slope counts as rounding; real ones are seldom below 1e-6
)


@torch.no_grad()
def relu_program(model: nn.Module) -> Program | None:
    """The steps of a network of affine maps and ReLU, in evaluation: without dropout, and batch norm with its running
    statistics. None for any other model: other activations, layer or group norm, convolutions."""
    if isinstance(model, Linear):
        return [_affine(model.output)]
    if isinstance(model, Shallow) and isinstance(model.activation, nn.ReLU):
        return [_affine(model.hidden), Step.RELU, _affine(model.output)]
    if not isinstance(model, (Mlp, Residual)) or not isinstance(model.activation, nn.ReLU):
        return None
    if not all(isinstance(norm, (nn.Identity, nn.BatchNorm1d)) for norm in model.norms):
        return None
    steps = _mlp_steps(model) if isinstance(model, Mlp) else _residual_steps(model)
    return [*steps, _affine(model.output)]


def _mlp_steps(model: Mlp) -> Program:
    steps: Program = []
    for layer, norm in zip(model.hidden, model.norms, strict=True):
        is_added = model.residual and bool(steps)
        steps += [Step.SAVE] if is_added else []
        steps += [_affine(layer), *_norm(norm), Step.RELU]
        steps += [Step.ADD] if is_added else []
    return steps


def _residual_steps(model: Residual) -> Program:
    steps: Program = [_affine(model.input)]
    for norm, block in zip(model.norms, model.blocks, strict=True):
        steps += [Step.SAVE, *_norm(norm), Step.RELU, _affine(block), Step.ADD]
    return steps


def _affine(layer: nn.Module) -> Affine:
    assert isinstance(layer, nn.Linear)
    return Affine(layer.weight.double(), layer.bias.double())


def _norm(norm: nn.Module) -> Program:
    """γ(h − μ)/√(σ² + ε) + δ as an affine map: batch norm in evaluation."""
    if not isinstance(norm, nn.BatchNorm1d):
        return []
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return [Affine(scale.diag(), norm.bias.double() - scale * norm.running_mean.double())]


def linearised(program: Program, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The network's value at each x, and the affine function that equals it near x, from its activation pattern.

    x: (N, D_i) float64 → y (N, C), its slope (N, C, D_i), and the pattern (N, D_1 + … + D_K) bool, True where active.
    """
    h = x
    slope = torch.eye(x.shape[1], dtype=x.dtype).expand(len(x), -1, -1)
    saved: list[tuple[Tensor, Tensor]] = []
    pattern = [x.new_zeros(len(x), 0, dtype=torch.bool)]
    for step in program:
        if isinstance(step, Affine):
            h, slope = step(h), step.weight @ slope
        elif step is Step.RELU:
            pattern.append(h > 0)
            h, slope = h * pattern[-1], slope * pattern[-1].unsqueeze(2)
        elif step is Step.SAVE:
            saved.append((h, slope))
        else:
            before = saved.pop()
            h, slope = h + before[0], slope + before[1]
    return h, slope, torch.cat(pattern, dim=1)


def bends(before: Tensor, after: Tensor, steepest: Tensor) -> tuple[Tensor, Tensor]:
    """Whether a function bends where two pieces meet, and whether its slope there changes only within rounding.

    before, after: (J, C, D_i), the slopes on both sides; steepest: (C,), of each output on any piece → (J,) bool each.
    An output bends if its slope changes by more than STRAIGHT of the steeper side, and by more than four rounding
    errors of its steepest: so outputs and pieces of very different size are judged separately.
    """
    change = torch.linalg.vector_norm(after - before, dim=2)
    sides = [torch.linalg.vector_norm(slope, dim=2) for slope in (before, after)]
    rounding = STRAIGHT * torch.maximum(*sides) + 4 * torch.finfo(change.dtype).eps * steepest
    is_bent = (change > rounding).any(dim=1)
    return is_bent, ~is_bent & (change > 0).any(dim=1)
