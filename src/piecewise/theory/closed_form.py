"""Least squares without iteration."""

from __future__ import annotations

import torch
from torch import Tensor

from piecewise.shapes import check_rank, check_same_shape


def least_squares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The intercept β₀ (C,) and slopes β (C, D) that minimise Σ‖y − β₀ − βx‖², through a QR decomposition in float64.

    For one input this is β₁ = Σ(x − x̄)(y − ȳ) / Σ(x − x̄)², β₀ = ȳ − β₁x̄.   x: (N, D), y: (N, C).
    Raises ValueError if the inputs do not determine the coefficients.
    """
    check_rank("x", x, 2)
    check_rank("y", y, 2)
    check_same_shape("the first column of x", x[:, :1], "that of y", y[:, :1])
    design = torch.cat([torch.ones(len(x), 1), x], dim=1).double()
    q, r = torch.linalg.qr(design)
    diagonal = r.diagonal().abs()
    if len(x) < design.shape[1] or diagonal.min() <= diagonal.max() * 1e-12:
        raise ValueError(f"{len(x)} examples of {x.shape[1]} inputs do not determine the coefficients")
    beta = torch.linalg.solve_triangular(r, q.T @ y.double(), upper=True)
    return beta[0], beta[1:].T
