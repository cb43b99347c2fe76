"""Transformations that leave a loss as it is or change it by a known amount, for random numbers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from piecewise.losses.bernoulli import Bernoulli
from piecewise.losses.beta import Beta
from piecewise.losses.categorical import Categorical
from piecewise.losses.exponential import Exponential
from piecewise.losses.gamma import Gamma
from piecewise.losses.heteroscedastic import Heteroscedastic
from piecewise.losses.independent import Independent
from piecewise.losses.laplace import Laplace
from piecewise.losses.mixture import Mixture
from piecewise.losses.multivariate_normal import MultivariateNormal
from piecewise.losses.plackett_luce import PlackettLuce
from piecewise.losses.squared_error import SquaredError
from piecewise.losses.student_t import StudentT
from piecewise.losses.von_mises import VonMises

QUICK = settings(max_examples=30, deadline=None, database=None, derandomize=True)
SEEDS, SHIFTS, SIZES = st.integers(0, 2**32), st.floats(-50, 50), st.tuples(st.integers(1, 6), st.integers(1, 4))


def draw(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]


def softplus_of(value: float) -> float:
    """The output that `positive` maps to `value`."""
    return math.log(math.expm1(value - 1e-6))


@QUICK
@given(seed=SEEDS, sizes=SIZES, shift=SHIFTS, kind=st.sampled_from([Heteroscedastic, Laplace, StudentT, Mixture]))
def test_moving_means_and_targets_together_changes_nothing(
    seed: int, sizes: tuple[int, int], shift: float, kind: type[Independent]
) -> None:
    (n, c), loss = sizes, kind()
    outputs, targets = draw(seed, (n, loss.outputs_per_target * c), sizes)
    moved = outputs.clone()
    means = slice(2 * c, 4 * c) if kind is Mixture else slice(0, c)
    moved[:, means] += shift
    torch.testing.assert_close(loss.nll(moved, targets + shift), loss.nll(outputs, targets), rtol=1e-7, atol=1e-7)


@QUICK
@given(seed=SEEDS, sizes=SIZES)
def test_targets_are_independent_and_so_are_examples(seed: int, sizes: tuple[int, int]) -> None:
    """The nll of several targets is the sum of those of each alone; reordered examples have reordered values."""
    n, c = sizes
    outputs, targets = draw(seed, (n, 2 * c), sizes)
    loss = Laplace()
    alone = sum(loss.nll(outputs[:, [k, c + k]], targets[:, [k]]) for k in range(c))
    torch.testing.assert_close(loss.nll(outputs, targets), alone)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(loss.nll(outputs[order], targets[order]), loss.nll(outputs, targets)[order])


@QUICK
@given(seed=SEEDS, sizes=SIZES, kind=st.sampled_from(["categorical", "plackett_luce"]), shift=SHIFTS)
def test_adding_a_constant_to_all_scores_changes_nothing(
    seed: int, sizes: tuple[int, int], kind: str, shift: float
) -> None:
    (z,) = draw(seed, sizes)
    loss, targets = (Categorical(), z.argmin(1)) if kind == "categorical" else (PlackettLuce(), z.argsort(1))
    torch.testing.assert_close(loss.nll(z + shift, targets), loss.nll(z, targets), rtol=1e-9, atol=1e-9)


@QUICK
@given(seed=SEEDS, angle=st.floats(-20, 20), turns=st.integers(-3, 3), size=st.floats(0.1, 9))
def test_turning_direction_and_angle_together_changes_nothing(seed: int, angle: float, turns: int, size: float) -> None:
    """A whole turn of the target changes nothing either, nor does the length of the arrow to μ, unless very short."""
    outputs, targets = draw(seed, (5, 3), (5, 1))
    outputs[:, :2] *= (0.1 / outputs[:, :2].norm(dim=1, keepdim=True)).clamp_min(1)
    cosine, sine, z = outputs.T
    c, s = math.cos(angle), math.sin(angle)
    turned = torch.stack([size * (c * cosine - s * sine), size * (s * cosine + c * sine), z], dim=1)
    found = VonMises().nll(turned, targets + angle + 2 * math.pi * turns)
    torch.testing.assert_close(found, VonMises().nll(outputs, targets), rtol=1e-7, atol=1e-7)


@QUICK
@given(seed=SEEDS, order=st.permutations(range(3)))
def test_components_of_a_mixture_have_no_order(seed: int, order: list[int]) -> None:
    outputs, targets = draw(seed, (5, 9), (5, 1))
    other = outputs.reshape(5, 3, 3)[:, :, order].reshape(5, 9)
    torch.testing.assert_close(Mixture(3).nll(other, targets), Mixture(3).nll(outputs, targets))
    torch.testing.assert_close(Mixture(3).mode(other), Mixture(3).mode(outputs))


@QUICK
@given(seed=SEEDS, sizes=SIZES)
def test_losses_agree_where_their_distributions_coincide(seed: int, sizes: tuple[int, int]) -> None:
    """Each pair is one distribution, computed by two formulas that share no code."""
    mu, z, y = draw(seed, sizes, sizes, sizes)
    half = torch.full_like(z, softplus_of(0.5))
    both = torch.cat([mu, half], dim=1)
    torch.testing.assert_close(Heteroscedastic().nll(both, y), SquaredError(0.5).nll(mu, y))
    torch.testing.assert_close(
        Mixture(1).nll(torch.cat([mu, mu, z], dim=1), y), Heteroscedastic().nll(torch.cat([mu, z], 1), y)
    )
    torch.testing.assert_close(StudentT(1e9).nll(both, y), SquaredError(0.5).nll(mu, y), rtol=1e-5, atol=1e-5)
    one = torch.full_like(z, softplus_of(1.0))
    torch.testing.assert_close(Gamma().nll(torch.cat([one, z], dim=1), y.exp()), Exponential().nll(z, y.exp()))
    share = y.sigmoid()
    torch.testing.assert_close(Beta().nll(torch.cat([mu, z], 1), share), Beta().nll(torch.cat([z, mu], 1), 1 - share))
    torch.testing.assert_close(Bernoulli().nll(z, (y > 0).double()), Bernoulli().nll(-z, (y <= 0).double()))
    first, is_one = z[:, :1], y[:, 0] > 0
    two = torch.cat([torch.zeros_like(first), first], dim=1)
    torch.testing.assert_close(
        Categorical().nll(two, is_one.long()), Bernoulli().nll(first, is_one.double().unsqueeze(1))
    )


@QUICK
@given(seed=SEEDS, count=st.integers(1, 5))
def test_without_correlation_the_nll_is_that_of_independent_targets(seed: int, count: int) -> None:
    mu, z, y = draw(seed, (4, count), (4, count), (4, count))
    outputs = torch.cat([mu, torch.zeros(4, count * (count + 1) // 2)], dim=1).double()
    rows, columns = torch.tril_indices(count, count)
    outputs[:, count + torch.nonzero(rows == columns).flatten()] = z
    torch.testing.assert_close(
        MultivariateNormal().nll(outputs, y), Heteroscedastic().nll(torch.cat([mu, z], dim=1), y)
    )


@QUICK
@given(seed=SEEDS, scale=st.floats(0.1, 10))
def test_other_units_cost_the_logarithm_of_their_ratio(seed: int, scale: float) -> None:
    """Reparameterisation: a density of y in other units is smaller by the factor of the units (the log-determinant)."""
    mu, y = draw(seed, (5, 1), (5, 1))
    found = SquaredError(0.5 * scale).nll(scale * mu, scale * y)
    torch.testing.assert_close(found, SquaredError(0.5).nll(mu, y) + math.log(scale))
    rate = Exponential().nll(mu - math.log(scale), scale * y.exp())
    torch.testing.assert_close(rate, Exponential().nll(mu, y.exp()) + math.log(scale))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_a_certain_and_right_prediction_costs_nothing(label_smoothing: float) -> None:
    z = torch.tensor([[1e4, 0.0, 0.0]], dtype=torch.float64)
    assert Categorical(label_smoothing).nll(z, torch.tensor([0])).item() == 0.0


@pytest.mark.parametrize("kind", [Heteroscedastic, Laplace, StudentT, Mixture, Beta, Gamma, VonMises])
def test_outputs_are_ordered_by_parameter_and_then_by_target(kind: type[Independent]) -> None:
    """Target k of C has the outputs k, C + k, 2C + k, …; the nll is the sum over the targets."""
    loss = kind()
    outputs, targets = draw(3, (5, loss.outputs_per_target * 3), (5, 3))
    targets = targets.sigmoid()  # in the range of every loss
    alone = sum(loss.nll(outputs[:, k::3], targets[:, [k]]) for k in range(3))
    torch.testing.assert_close(loss.nll(outputs, targets), alone)
