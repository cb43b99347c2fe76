from __future__ import annotations

import pytest
import torch
from torch import distributions

from piecewise.data.spec import DataSpec, TargetKind
from piecewise.losses.bernoulli import Bernoulli


@pytest.mark.parametrize("num_targets", [1, 3])
def test_nll_is_the_bernoulli_distribution(num_targets: int) -> None:
    z = 5 * torch.randn(50, num_targets, dtype=torch.float64)
    y = (torch.rand(50, num_targets, dtype=torch.float64) < 0.5).double()
    wanted = -distributions.Bernoulli(logits=z).log_prob(y).sum(dim=1)
    torch.testing.assert_close(Bernoulli().nll(z, y), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nll_is_exact_where_the_probability_is_zero(dtype: torch.dtype) -> None:
    z = torch.tensor([[1e4], [1e4], [-1e4], [-1e4]], dtype=dtype)
    y = torch.tensor([[1.0], [0.0], [1.0], [0.0]], dtype=dtype)
    assert Bernoulli().nll(z, y).tolist() == [0.0, 1e4, 1e4, 0.0]


def test_gradient_is_the_probability_minus_the_target() -> None:
    z = torch.tensor([[1e4], [-1e4], [0.3], [-2.0]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]], dtype=torch.float64)
    Bernoulli().nll(z, y).sum().backward()
    torch.testing.assert_close(z.grad, 1 / (1 + torch.exp(-z.detach())) - y)


def test_the_mode_is_one_above_even_odds() -> None:
    mode = Bernoulli().mode(torch.tensor([[-1.0], [1.0], [1e-6]], dtype=torch.float64))
    assert mode.tolist() == [[0.0], [1.0], [1.0]]
    assert mode.dtype == torch.float64


def test_an_example_is_right_if_all_its_targets_are_right() -> None:
    z = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    y = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert Bernoulli().scores(z, y).tolist() == [1.0, 0.0, 0.0]
    assert Bernoulli().score == "accuracy"


def test_one_output_for_each_target() -> None:
    spec = DataSpec("table", (4,), frozenset({TargetKind.BINARY}), 1, 2, 10, 10)
    assert Bernoulli().num_outputs(spec) == 1


def test_a_single_logit_is_not_broadcast_to_many_targets() -> None:
    with pytest.raises(ValueError, match=r"outputs has shape \(1, 1\) but targets has shape \(4, 1\)"):
        Bernoulli().nll(torch.zeros(1, 1), torch.zeros(4, 1))


def test_at_even_odds_the_mode_is_zero() -> None:
    z = torch.zeros(2, 1)
    assert Bernoulli().mode(z).tolist() == [[0.0], [0.0]]
    assert Bernoulli().scores(z, torch.tensor([[0.0], [1.0]])).tolist() == [1.0, 0.0]
