"""Least squares without iteration."""

import torch
from torch import Tensor

from piecewise.errors import Unavailable
from piecewise.shapes import check_rank, check_same_shape

CONSTANT = 1e-14  # relative to an input's size: a smaller spread is rounding
DEPENDENT = 1e-12  # relative to an input's spread: a smaller part independent of earlier inputs is rounding


def least_squares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The intercept β₀ (C,) and slopes β (C, D) that minimise Σ‖y − β₀ − βx‖², through a QR decomposition of the
    centred inputs in float64.

    For one input this is β₁ = Σ(x − x̄)(y − ȳ) / Σ(x − x̄)², β₀ = ȳ − β₁x̄.   x: (N, D), y: (N, C).
    Raises Unavailable if the inputs do not determine the coefficients.
    """
    check_rank("x", x, 2)
    check_rank("y", y, 2)
    check_same_shape("the first column of x", x[:, :1], "that of y", y[:, :1])
    x, y = x.double(), y.double()
    if len(x) > x.shape[1]:
        x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
        spread = torch.linalg.vector_norm(x - x_mean, dim=0)
        # Columns get length 1, so that units do not matter. A constant input spreads only by the rounding of its mean.
        is_constant = spread <= CONSTANT * torch.linalg.vector_norm(x, dim=0)
        q, r = torch.linalg.qr((x - x_mean) / spread.masked_fill(is_constant, 1))
        if not is_constant.any() and (r.diagonal().abs() > DEPENDENT).all():
            beta = torch.linalg.solve_triangular(r, q.T @ (y - y_mean), upper=True) / spread.unsqueeze(1)
            return y_mean - x_mean @ beta, beta.T
    raise Unavailable(f"{len(x)} examples of {x.shape[1]} inputs do not determine the coefficients")
