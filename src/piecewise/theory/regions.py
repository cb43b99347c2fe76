"""The joints of a ReLU network with one input, exactly: no grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.shallow import Shallow

STRAIGHT = 1e-9  # relative


@dataclass(frozen=True)
class PiecewiseLinear:
    """A continuous piecewise linear function on an interval: linear between its knots, bent at the inner ones.

    `knots`: (P + 1,) the interval's ends and the joints between them; `values`: (P + 1, C) the function there.
    """

    knots: Tensor
    values: Tensor

    @property
    def joints(self) -> Tensor:
        """Where the slope changes, (P − 1,)."""
        return self.knots[1:-1]

    @property
    def slopes(self) -> Tensor:
        """The slope on each linear region, (P, C)."""
        return self.values.diff(dim=0) / self.knots.diff().unsqueeze(1)


@torch.no_grad()
def piecewise_linear(model: nn.Module, low: float, high: float) -> PiecewiseLinear | None:
    """The function of a ReLU network on [low, high]; None if the model is no ReLU network with one input.

    Layer by layer: on a piece every pre-activation is linear, so it crosses zero at most once, and the crossing of
    the line through its two ends is a joint of the next layer (UDL 3.2, 4.1). Computed in float64.
    """
    layers = _relu_layers(model)
    if layers is None:
        return None
    knots = torch.tensor([low, high], dtype=torch.float64)
    h = knots.unsqueeze(1)
    for layer in layers[:-1]:
        knots, z = _insert_crossings(knots, _affine(layer, h))
        h = z.clamp_min(0)
    return _without_straight_knots(knots, _affine(layers[-1], h))


def _without_straight_knots(knots: Tensor, values: Tensor) -> PiecewiseLinear:
    """Keep the knots where the function bends: a later layer, or another unit, may undo a bend of an earlier one.

    Bends below STRAIGHT of the steepest slope, and pieces below it of the interval, count as rounding.
    """
    is_apart = torch.cat([torch.ones(1, dtype=torch.bool), knots.diff() > STRAIGHT * (knots[-1] - knots[0])])
    is_apart[-1] = True
    knots, values = knots[is_apart], values[is_apart]
    slopes = values.diff(dim=0) / knots.diff().unsqueeze(1)
    bends = slopes.diff(dim=0).abs().amax(dim=1) > STRAIGHT * slopes.abs().max().clamp_min(1e-300)
    is_kept = torch.cat([torch.ones(1, dtype=torch.bool), bends, torch.ones(1, dtype=torch.bool)])
    return PiecewiseLinear(knots[is_kept], values[is_kept])


def _relu_layers(model: nn.Module) -> list[nn.Linear] | None:
    """The linear layers of a model that is nothing but linear layers with ReLU between them, else None."""
    if isinstance(model, Linear):
        layers = [model.output]
    elif isinstance(model, Shallow) and isinstance(model.activation, nn.ReLU):
        layers = [model.hidden, model.output]
    elif isinstance(model, Mlp) and isinstance(model.activation, nn.ReLU):
        layers = [*model.hidden, model.output]
    else:
        return None
    return layers if layers[0].in_features == 1 else None


def _affine(layer: nn.Linear, h: Tensor) -> Tensor:
    return h @ layer.weight.double().T + layer.bias.double()


def _insert_crossings(knots: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Add to `knots` the points where a pre-activation z (P + 1, D), linear between knots, changes its sign."""
    before, after = z[:-1], z[1:]
    piece, unit = torch.nonzero(before * after < 0, as_tuple=True)
    share = before[piece, unit] / (before[piece, unit] - after[piece, unit])
    crossings = knots[piece] + share * (knots[piece + 1] - knots[piece])
    values = before[piece] + share.unsqueeze(1) * (after[piece] - before[piece])
    values[torch.arange(len(unit)), unit] = 0.0  # exactly on the joint, so that rounding opens no second one
    all_knots, order = torch.cat([knots, crossings]).sort(stable=True)
    return all_knots, torch.cat([z, values])[order]
