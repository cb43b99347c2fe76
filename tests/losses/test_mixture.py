"""The mode and the quantiles of a mixture, nearly to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from piecewise.losses.mixture import Mixture


def outputs_for(weight: list[float], mu: list[float], sigma: list[float]) -> Tensor:
    """(1, 3M), the outputs that have these parameters."""
    z = [math.log(math.expm1(value - 1e-6)) for value in sigma]
    return torch.tensor([[*(math.log(value) for value in weight), *mu, *z]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("mu", "mode", "tolerance"),
    [
        ((1.0, -1.0), 0.0, 1e-4),  # where two modes merge the density is flat: below 1e-4 rounding hides y⁴
        ((0.99, -0.99), 0.0, 1e-9),
        ((0.5, -0.5), 0.0, 1e-12),
        ((3.0, 3.0), 3.0, 1e-12),
    ],
)
def test_two_equal_components_have_one_mode_up_to_two_scales_apart(
    mu: tuple[float, float], mode: float, tolerance: float
) -> None:
    found = Mixture(2).mode(outputs_for([0.5, 0.5], list(mu), [1.0, 1.0])).item()
    assert found == pytest.approx(mode, abs=tolerance)


def test_beyond_two_scales_the_mode_is_where_the_derivative_vanishes() -> None:
    """With equal weights y = μ tanh(μ y / σ²): iterated from μ."""
    for mu in (1.02, 1.2, 2.0):
        wanted = mu
        for _ in range(5000):
            wanted = mu * math.tanh(mu * wanted)
        found = Mixture(2).mode(outputs_for([0.5, 0.5], [mu, -mu], [1.0, 1.0])).item()
        assert abs(found) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_no_grid_point_is_likelier_and_the_slope_changes_sign_at_the_mode(count: int) -> None:
    rng = torch.Generator().manual_seed(count)
    outputs = 2 * torch.randn(40, 3 * count, generator=rng, dtype=torch.float64)
    loss = Mixture(count)
    mode = loss.mode(outputs)
    at_mode = loss.nll(outputs, mode)
    grid = torch.linspace(-8, 8, 801, dtype=torch.float64)
    everywhere = loss.nll(outputs.repeat_interleave(len(grid), 0), grid.repeat(len(outputs))[:, None])
    assert (at_mode <= everywhere.reshape(len(outputs), -1).amin(dim=1) + 1e-12).all()
    sigma = loss.link(outputs)["sigma"].amin(dim=(1, 2))
    y = (mode + 1e-5 * sigma[:, None] * torch.tensor([-1.0, 1.0])).requires_grad_()
    (slope,) = torch.autograd.grad(loss.nll(outputs.repeat_interleave(2, 0), y.reshape(-1, 1)).sum(), y)
    assert ((slope[:, 0] < 0) & (slope[:, 1] > 0)).all()


def test_a_narrow_peak_beside_a_wide_one_is_found() -> None:
    """A tenth of the weight, a millionth of the scale, far out: the density is 1e5 times as high."""
    found = Mixture(2).mode(outputs_for([0.9, 0.1], [0.0, 2.5], [1.0, 2e-6])).item()
    assert found == pytest.approx(2.5, abs=1e-9)


def test_quantiles_are_exact_where_components_are_far_apart_and_narrow() -> None:
    """Half of the weight at 0 with a scale of 2e-6, half at 1e4: quantile 0.4 is quantile 0.8 of the first."""
    outputs = outputs_for([0.5, 0.5], [0.0, 1e4], [2e-6, 1.0])
    found = Mixture(2).quantile(outputs, 0.4).item()
    assert found == pytest.approx(2e-6 * norm.ppf(0.8), rel=1e-9)
    np.testing.assert_allclose(Mixture(2).quantile(outputs, 0.9), 1e4 + norm.ppf(0.8), rtol=1e-12)
