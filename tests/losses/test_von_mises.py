"""The von Mises loss where the arrow to μ, the first two outputs of a target, gets short."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from piecewise.losses.von_mises import SHORT, VonMises


@pytest.mark.parametrize("length", [0.0, 1e-30, 0.3 * SHORT, 0.999 * SHORT, SHORT, 2 * SHORT])
def test_kappa_is_proportional_to_the_length_of_a_short_arrow(length: float) -> None:
    outputs = torch.tensor([[length * math.cos(2), length * math.sin(2), 3.0]], dtype=torch.float64)
    kappa = (math.log1p(math.exp(3)) + 1e-6) * min(length / SHORT, 1)

    def density(y: float) -> float:
        return VonMises().nll(outputs, torch.tensor([[y]], dtype=torch.float64)).neg().exp().item()

    assert quad(density, -math.pi, math.pi)[0] == pytest.approx(1, abs=1e-9)
    for y in (-1.0, 2.0, 3.0):
        wanted = stats.vonmises.pdf(y, kappa, loc=2) if length else 1 / (2 * math.pi)
        assert density(y) == pytest.approx(wanted, rel=1e-9)
    assert VonMises().link(outputs)["kappa"].item() == pytest.approx(max(kappa, 1e-6), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_the_origin_the_gradient_points_to_the_target_and_is_bounded(dtype: torch.dtype) -> None:
    """`init=zeros` starts there. The gradient is −κ cos y / SHORT and −κ sin y / SHORT, with κ = log 2."""
    outputs, y = torch.zeros(3, 3, dtype=dtype, requires_grad=True), torch.tensor([[0.0], [2.0], [-3.0]], dtype=dtype)
    VonMises().nll(outputs, y).sum().backward()
    assert outputs.grad is not None
    assert outputs.grad.abs().max() < 100
    steepness = -(math.log(2) + 1e-6) / SHORT
    torch.testing.assert_close(outputs.grad[:, :2], steepness * torch.cat([y.cos(), y.sin()], dim=1))
    assert outputs.grad[:, 2].abs().max() < 1e-7


def test_near_the_origin_the_gradient_is_that_of_finite_differences() -> None:
    outputs = torch.tensor([[0.003, -0.004, 1.0], [1e-4, 0.0, -2.0]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: VonMises().nll(z, y), (outputs,), eps=1e-7, atol=1e-5)
