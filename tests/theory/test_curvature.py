from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from piecewise.models.gabor import Gabor
from piecewise.theory.curvature import hessian, least_squares_hessian, step_limit
from piecewise.theory.descent import gd

X = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def mean_square(phi: Tensor) -> Tensor:
    return (Y - phi[0] - X @ phi[1:]).square().mean()


def test_the_hessian_of_least_squares_is_its_formula() -> None:
    """By autograd, and by second differences, which are exact because the loss is quadratic."""
    phi, formula = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64), least_squares_hessian(X)
    torch.testing.assert_close(hessian(mean_square, phi), formula)
    step = 0.5 * torch.eye(3, dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            corners = [mean_square(phi + a * step[i] + b * step[j]) * a * b for a in (1, -1) for b in (1, -1)]
            assert float(sum(corners)) == pytest.approx(float(formula[i, j]), abs=1e-10)


def test_the_hessian_of_a_gabor_model_is_the_second_difference() -> None:
    x = torch.linspace(-15, 15, 31, dtype=torch.float64)[:, None]

    def loss(phi: Tensor) -> Tensor:
        phase = phi[0] + 0.06 * phi[1] * x
        return (torch.sin(phase) * torch.exp(-phase.square() / 32) - 0.3).square().mean()

    phi, h = torch.tensor([1.0, 8.0], dtype=torch.float64), 1e-4
    found, step = hessian(loss, phi), torch.eye(2, dtype=torch.float64)
    for i in range(2):
        for j in range(2):
            corners = [loss(phi + h * (a * step[i] + b * step[j])) * a * b for a in (1, -1) for b in (1, -1)]
            assert float(sum(corners)) / (4 * h * h) == pytest.approx(float(found[i, j]), abs=1e-6)
    assert torch.equal(found, found.T)
    with torch.no_grad():  # the loss is that of the model
        model = Gabor(1, 1, 1.0, 8.0).double()
        assert float(loss(phi)) == pytest.approx(float((model(x) - 0.3).square().mean()), abs=1e-12)


@pytest.mark.parametrize(("share", "is_stable"), [(0.99, True), (1.01, False)])
def test_gradient_descent_is_stable_below_the_limit_and_not_above(share: float, is_stable: bool) -> None:
    phi = torch.zeros(3, dtype=torch.float64)
    lr = share * step_limit(least_squares_hessian(X))
    losses = []
    for _ in range(1500):
        losses.append(float(mean_square(phi)))
        phi = gd(phi, torch.func.grad(mean_square)(phi), lr)
    best = float(np.linalg.lstsq(np.column_stack([np.ones(40), X]), Y, rcond=None)[1][0]) / 40
    assert (losses[-1] - best < 1e-9) == is_stable
    assert (losses[-1] > 1e3) != is_stable


def test_the_limit_is_two_over_the_largest_eigenvalue() -> None:
    assert step_limit(torch.diag(torch.tensor([4.0, -9.0, 0.5]))) == pytest.approx(0.5)
    matrix = least_squares_hessian(X)
    assert step_limit(matrix) == pytest.approx(2 / np.linalg.eigvalsh(matrix.numpy()).max())
    with pytest.raises(ValueError, match=r"the Hessian is -1\.0: the loss curves upwards nowhere"):
        step_limit(torch.diag(torch.tensor([-1.0, -2.0])))
    with pytest.raises(ValueError, match=r"the Hessian is 0\.0: the loss curves upwards nowhere"):
        step_limit(torch.zeros(2, 2))


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="phi must have 1 dimensions"):
        hessian(mean_square, torch.zeros(3, 1))
    with pytest.raises(ValueError, match="x must have 2 dimensions"):
        least_squares_hessian(torch.zeros(3))
    with pytest.raises(ValueError, match=r"hessian must have shape \(P, P\), got shape \(2, 3\)"):
        step_limit(torch.zeros(2, 3))
