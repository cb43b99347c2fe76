"""Universal approximation by construction: the shallow ReLU network that passes through given points (UDL 3.2)."""

import torch
from torch import Tensor

from piecewise.models.shallow import Shallow
from piecewise.shapes import check_rank, check_same_shape


@torch.no_grad()
def interpolant(x: Tensor, y: Tensor) -> Shallow:
    """The network with one unit per piece that interpolates the points linearly on [x_0, x_P].

    h_d = a[x − x_d], and φ_d is the change of slope at x_d.  x: (P + 1,) increasing, y: (P + 1,); float64.
    Raises ValueError for fewer than two points, or an x that is not increasing.
    """
    check_rank("x", x, 1)
    check_same_shape("x", x, "y", y)
    x, y = x.double(), y.double()
    if len(x) < 2 or not (x.diff() > 0).all():
        raise ValueError(f"x must be at least 2 increasing points, got {x.tolist()[:5]}")
    slopes = y.diff() / x.diff()
    model = Shallow(1, 1, width=len(slopes)).double()
    model.hidden.weight.fill_(1.0)
    model.hidden.bias.copy_(-x[:-1])
    model.output.weight.copy_(slopes.diff(prepend=slopes.new_zeros(1)).unsqueeze(0))
    model.output.bias.copy_(y[:1])
    return model


def interpolation_error(second_derivative: float, spacing: float) -> float:
    """max|f″| h² / 8: bounds the error of an interpolant of f through points at most h apart; ∝ D⁻² for D pieces."""
    return second_derivative * spacing**2 / 8
