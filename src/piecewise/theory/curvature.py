"""The Hessian of a loss, and the step size above which gradient descent diverges (UDL 6.1)."""

from collections.abc import Callable

import torch
from torch import Tensor

from piecewise.shapes import check_rank, check_shape


def hessian(loss: Callable[[Tensor], Tensor], phi: Tensor) -> Tensor:
    """∂²L/∂φ_i∂φ_j at φ.  loss: (P,) → (), phi: (P,) → (P, P), symmetric."""
    check_rank("phi", phi, 1)
    found: Tensor = torch.func.jacrev(torch.func.grad(loss))(phi)
    return (found + found.T) / 2


def least_squares_hessian(x: Tensor) -> Tensor:
    """(2/N) XᵀX, the Hessian of (1/N) Σ (y − β₀ − βx)² in (β₀, β) for any y.  x: (N, D) → (D+1, D+1)."""
    check_rank("x", x, 2)
    design = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), x.double()], dim=1)
    return 2 * design.T @ design / len(x)


def step_limit(hessian: Tensor) -> float:
    """2 / λ_max: on a quadratic loss gradient descent converges for step sizes below it and diverges above.

    hessian: (P, P), symmetric. Raises ValueError if it is not square, or if no direction curves upwards: then
    there is no limit.
    """
    check_shape("hessian", hessian, ("P", "P"))
    steepest = float(torch.linalg.eigvalsh(hessian)[-1])
    if steepest <= 0:
        raise ValueError(f"the largest eigenvalue of the Hessian is {steepest}: the loss curves upwards nowhere")
    return 2 / steepest
