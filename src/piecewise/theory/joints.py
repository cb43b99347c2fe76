"""The joints of a ReLU network with one input, exactly, without a grid."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from piecewise.theory.networks import Affine, Program, Step, bends, linearised, relu_program

TOLERANCE = 1e-9  # relative to the interval: joints closer than this count as one


@dataclass(frozen=True)
class PiecewiseLinear:
    """A continuous piecewise linear function on an interval: linear between its knots, bent at the inner ones.

    `knots`: (P + 1,) the interval's ends and the joints between them; `values`: (P + 1, C) the function there;
    `slopes`: (P, C) on each linear region. `num_patterns` counts the pieces with an activation pattern of their own,
    at least P: between some, the function does not bend, because later layers switch the bend off. `num_straightened`
    counts bends that are smaller than rounding. `num_merged` counts zeros of pre-activations that were merged with a
    joint within TOLERANCE; a unit whose zero is exactly at a joint of an earlier layer is not counted.
    """

    knots: Tensor
    values: Tensor
    slopes: Tensor
    num_patterns: int
    num_straightened: int
    num_merged: int

    @property
    def joints(self) -> Tensor:
        """Where the slope changes, (P − 1,)."""
        return self.knots[1:-1]


@torch.no_grad()
def piecewise_linear(model: nn.Module, low: float, high: float) -> PiecewiseLinear | None:
    """The function of a ReLU network on [low, high]; None if the model is not a ReLU network with one input.

    Layer by layer: on a piece every pre-activation is linear, so it crosses zero at most once, and the crossing of
    the line through its two ends is a joint of the next layer (UDL 3.2, 4.1). Computed in float64.
    Raises ValueError unless low < high.
    """
    if not low < high:
        raise ValueError(f"low={low} must be less than high={high}")
    program = relu_program(model)
    if program is None or not isinstance(program[0], Affine) or program[0].weight.shape[1] != 1:
        return None
    knots, num_merged = _apart(_knots(program, low, high))
    middle = (knots[1:] + knots[:-1]) / 2
    slopes = linearised(program, middle.unsqueeze(1))[1]
    is_bent, is_straightened = bends(slopes[:-1], slopes[1:], slopes.abs().amax(dim=(0, 2)))
    end = torch.ones(1, dtype=torch.bool)
    kept = knots[torch.cat([end, is_bent, end])]
    values = linearised(program, kept.unsqueeze(1))[0]
    slopes = slopes[torch.cat([end, is_bent]), :, 0]
    return PiecewiseLinear(kept, values, slopes, len(middle), int(is_straightened.sum()), num_merged)


def _knots(program: Program, low: float, high: float) -> Tensor:
    """The ends and every zero of a pre-activation between them, sorted; a zero that two units share appears twice."""
    knots = torch.tensor([low, high], dtype=torch.float64)
    h = knots.unsqueeze(1)
    saved: list[Tensor] = []
    for step in program:
        if isinstance(step, Affine):
            h = step(h)
        elif step is Step.RELU:
            knots, (h, *saved) = _insert_crossings(knots, [h, *saved])
            h = h.clamp_min(0)
        elif step is Step.SAVE:
            saved.append(h)
        else:
            h = h + saved.pop()
    return knots


def _insert_crossings(knots: Tensor, functions: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Add to `knots` the points where the first of `functions`, (P + 1, D) and linear between knots, changes sign."""
    z = functions[0]
    piece, unit = torch.nonzero(z[:-1].sign() * z[1:].sign() < 0, as_tuple=True)
    share = (z[piece, unit] / (z[piece, unit] - z[piece + 1, unit])).unsqueeze(1)
    crossings = knots[piece] + share[:, 0] * (knots[piece + 1] - knots[piece])
    between = [f[piece] + share * (f[piece + 1] - f[piece]) for f in functions]
    all_knots, order = torch.cat([knots, crossings]).sort(stable=True)
    return all_knots, [torch.cat([f, new])[order] for f, new in zip(functions, between, strict=True)]


def _apart(knots: Tensor) -> tuple[Tensor, int]:
    """Merge knots within TOLERANCE of each other, keeping both ends; also return how many were removed."""
    low, *inner, high = knots.tolist()
    reach, kept = TOLERANCE * (high - low), [low]
    for knot in inner:
        if knot - kept[-1] > reach and high - knot > reach:
            kept.append(knot)
    return knots.new_tensor([*kept, high]), 1 + len(inner) - len(kept)
