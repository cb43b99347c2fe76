from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from piecewise.data.spec import DataSpec, TargetKind
from piecewise.errors import BadInput
from piecewise.losses.squared_error import SquaredError


@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("num_targets", [1, 3])
def test_nll_is_the_normal_distribution(sigma: float, num_targets: int) -> None:
    mu, y = torch.randn(2, 50, num_targets, dtype=torch.float64)
    torch.testing.assert_close(SquaredError(sigma).nll(mu, y), -Normal(mu, sigma).log_prob(y).sum(dim=1))


def test_a_perfect_prediction_costs_the_logarithm_of_the_normaliser() -> None:
    y = torch.zeros(1, 1, dtype=torch.float64)
    assert SquaredError().nll(y, y).item() == pytest.approx(0.5 * math.log(2 * math.pi), abs=1e-15)


def test_gradient_is_the_error_over_the_variance() -> None:
    mu = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    y = torch.randn(5, 2, dtype=torch.float64)
    SquaredError(0.5).nll(mu, y).sum().backward()
    torch.testing.assert_close(mu.grad, (mu - y).detach() / 0.25)


def test_scores_average_the_squares_over_the_targets_whatever_sigma() -> None:
    mu, y = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[4.0, 6.0], [0.0, 1.0]])
    assert SquaredError(0.1).scores(mu, y).tolist() == [12.5, 0.5]
    assert SquaredError().score == "squared_error"


def test_the_mode_is_the_mean() -> None:
    mu = torch.randn(4, 2)
    assert torch.equal(SquaredError(2.0).mode(mu), mu)


def test_one_output_for_each_target() -> None:
    spec = DataSpec("table", (4,), frozenset({TargetKind.REAL}), 3, None, 10, 10)
    assert SquaredError().num_outputs(spec) == 3


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_sigma_must_be_positive(sigma: float) -> None:
    with pytest.raises(BadInput, match=f"loss.sigma={sigma} must be a positive number"):
        SquaredError(sigma)
