from __future__ import annotations

import math

import pytest
import torch
from scipy.special import log_softmax
from torch import distributions

from piecewise.data.spec import DataSpec, TargetKind
from piecewise.errors import BadInput
from piecewise.losses.categorical import Categorical

Z = 3 * torch.randn(40, 5, dtype=torch.float64)
Y = torch.arange(40) % 5


def spec(num_classes: int | None) -> DataSpec:
    return DataSpec("table", (4,), frozenset({TargetKind.CLASS}), 1, num_classes, 10, 10)


def test_nll_is_the_categorical_distribution() -> None:
    torch.testing.assert_close(Categorical().nll(Z, Y), -distributions.Categorical(logits=Z).log_prob(Y))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nll_is_exact_where_the_probability_is_zero(dtype: torch.dtype) -> None:
    z = torch.tensor([[1e4, 0.0], [1e4, 0.0], [-1e4, 0.0]], dtype=dtype)
    assert Categorical().nll(z, torch.tensor([0, 1, 0])).tolist() == [0.0, 1e4, 1e4]


def test_gradient_is_the_softmax_minus_the_target() -> None:
    z = torch.cat([Z, torch.tensor([[1e4, -1e4, 0, 0, 0]], dtype=torch.float64)]).requires_grad_()
    y = torch.cat([Y, torch.tensor([1])])
    Categorical().nll(z, y).sum().backward()
    wanted = torch.exp(torch.from_numpy(log_softmax(z.detach().numpy(), axis=1)))
    wanted[torch.arange(41), y] -= 1
    torch.testing.assert_close(z.grad, wanted)


def test_smoothing_spreads_probability_over_all_classes() -> None:
    """Cross entropy against (1 − ε)·onehot + ε/C, by hand. The nll ignores the smoothing."""
    log_p, share = log_softmax(Z.numpy(), axis=1), 0.1
    by_hand = [
        -sum((share / 5 + (1 - share) * (c == y)) * log_p[n, c] for c in range(5)) for n, y in enumerate(Y.tolist())
    ]
    loss = Categorical(label_smoothing=share)
    torch.testing.assert_close(loss.objective(Z, Y), torch.tensor(by_hand, dtype=torch.float64))
    torch.testing.assert_close(loss.nll(Z, Y), Categorical().nll(Z, Y), rtol=0, atol=0)
    assert not torch.allclose(loss.objective(Z, Y), loss.nll(Z, Y))
    assert (loss.trains_on_nll, Categorical().trains_on_nll) == (False, True)


def test_mode_and_scores() -> None:
    z = torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0]])
    assert Categorical().mode(z).tolist() == [1, 0]
    assert Categorical().scores(z, torch.tensor([1, 2])).tolist() == [1.0, 0.0]
    assert Categorical().score == "accuracy"


def test_one_output_for_each_class() -> None:
    assert Categorical().num_outputs(spec(7)) == 7
    with pytest.raises(BadInput, match="loss=categorical needs classes; data=table has none"):
        Categorical().num_outputs(spec(None))


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, math.nan])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(BadInput, match=f"loss.label_smoothing={share} must be at least 0 and less than 1"):
        Categorical(share)


@pytest.mark.parametrize("shape", [(40,), (40, 5, 2)])
def test_logits_have_two_dimensions(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="outputs must have 2 dimensions, got shape"):
        Categorical().nll(torch.zeros(shape), Y)
