from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from piecewise.models.mlp import Mlp
from piecewise.models.shallow import Shallow
from piecewise.theory.composition import Network, compose, merge, zigzag
from piecewise.theory.joints import piecewise_linear

QUICK = settings(max_examples=40, deadline=None, database=None, derandomize=True)


@QUICK
@given(seed=st.integers(0, 2**32), inner=st.integers(1, 4), kinds=st.tuples(st.booleans(), st.booleans()))
def test_the_merged_network_is_the_composition(seed: int, inner: int, kinds: tuple[bool, bool]) -> None:
    torch.manual_seed(seed)
    first: Network = Mlp(3, inner, width=[5, 4]).double() if kinds[0] else Shallow(3, inner, width=6).double()
    second: Network = Mlp(inner, 2, width=[3, 5]).double() if kinds[1] else Shallow(inner, 2, width=4).double()
    x = 3 * torch.randn(50, 3, dtype=torch.float64)
    merged = merge(first, second)
    with torch.no_grad():
        wanted = second(first(x))
        assert float((merged(x) - wanted).abs().max()) < 1e-12
        torch.testing.assert_close(compose(first, second)(x), wanted, rtol=0, atol=0)
    assert len(merged.hidden) == (2 if kinds[0] else 1) + (2 if kinds[1] else 1)


def test_psi_by_hand() -> None:
    """UDL eq. 4.5 and 4.6 for two units each: ψ_d0 = θ′_d0 + θ′_d φ₀, ψ_dj = θ′_d φ_j."""
    torch.manual_seed(0)
    first, second = Shallow(1, 1, width=2).double(), Shallow(1, 1, width=2).double()
    psi = merge(first, second).hidden[1]
    phi0, phi = first.output.bias.item(), first.output.weight[0].tolist()
    for d in range(2):
        theta0, theta1 = second.hidden.bias[d].item(), second.hidden.weight[d, 0].item()
        assert psi.bias[d].item() == pytest.approx(theta0 + theta1 * phi0, abs=1e-15)
        assert psi.weight[d].tolist() == pytest.approx([theta1 * value for value in phi], abs=1e-15)


@pytest.mark.parametrize("folds", [1, 2, 3, 5])
def test_a_zigzag_folds_the_interval_onto_itself(folds: int) -> None:
    """Against the triangle wave; the number of regions is that of the folds."""
    x = np.linspace(0, 1, 501)
    phase = folds * x % 2
    wanted = np.where(phase <= 1, phase, 2 - phase)
    with torch.no_grad():
        y = zigzag(folds)(torch.from_numpy(x)[:, None])[:, 0]
    np.testing.assert_allclose(y, wanted, atol=1e-12)
    function = piecewise_linear(zigzag(folds), 0.0, 1.0)
    assert function is not None
    assert len(function.slopes) == folds


def test_folding_multiplies_regions() -> None:
    """A network with 4 regions on [0, 1] behind a zigzag of 3: each region once in every fold (UDL figure 4.3)."""
    model = Shallow(1, 1, width=4).double()
    with torch.no_grad():
        model.hidden.weight.fill_(1.0)
        model.hidden.bias.copy_(-torch.tensor([0.0, 0.2, 0.5, 0.9]))
        model.output.weight.copy_(torch.tensor([[1.0, -3.0, 4.0, -5.0]]))
    alone, folded = (piecewise_linear(m, 0.0, 1.0) for m in (model, merge(zigzag(3), model)))
    assert alone is not None
    assert folded is not None
    assert (len(alone.slopes), len(folded.slopes)) == (4, 4 * 3)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (Shallow(1, 2), Shallow(1, 1), "the first network has 2 outputs but the second has 1 inputs"),
        (Shallow(1, 1, activation="tanh"), Shallow(1, 1), "only ReLU networks without norm"),
        (Shallow(1, 1), Mlp(1, 1, norm="batch"), "only ReLU networks without norm"),
        (Mlp(1, 1, residual=True), Shallow(1, 1), "only networks without residual connections"),
    ],
)
def test_networks_that_cannot_be_merged_are_refused(first: Network, second: Network, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        merge(first, second)


def test_zero_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="num_folds=0 must be at least 1"):
        zigzag(0)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (Shallow(1, 1), Shallow(2, 1), "the first network has 1 outputs but the second has 2 inputs"),
        (Shallow(1, 1), Mlp(1, 1, residual=True), "only networks without residual connections"),
        (Mlp(1, 1, norm="batch"), Shallow(1, 1), "only ReLU networks without norm"),
    ],
)
def test_merging_is_refused_whichever_of_the_two_does_not_fit(first: Network, second: Network, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        merge(first, second)
