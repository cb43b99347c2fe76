"""The constant that minimises a loss is a known statistic: L-BFGS must find the value of its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from piecewise.losses.bernoulli import Bernoulli
from piecewise.losses.beta import Beta
from piecewise.losses.categorical import Categorical
from piecewise.losses.exponential import Exponential
from piecewise.losses.gamma import Gamma
from piecewise.losses.heteroscedastic import Heteroscedastic
from piecewise.losses.laplace import Laplace
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.losses.mixture import Mixture
from piecewise.losses.multivariate_normal import MultivariateNormal
from piecewise.losses.plackett_luce import PlackettLuce
from piecewise.losses.poisson import Poisson
from piecewise.losses.squared_error import SquaredError
from piecewise.losses.student_t import StudentT
from piecewise.losses.von_mises import VonMises

RNG = np.random.default_rng(0)
N = 401  # odd, so that the median is one of the examples


def fit(loss: NegativeLogLikelihood, y: np.ndarray, num_outputs: int) -> dict[str, np.ndarray]:
    """The parameters of the constant prediction that minimises the mean loss."""
    targets = torch.from_numpy(y)
    z = (
        0.1 * torch.randn(1, num_outputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [z], max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss.nll(z.expand(len(targets), -1), targets).mean()
        torch.autograd.backward(value)
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return {name: value[0].detach().numpy() for name, value in loss.link(z).items()}


def test_normal_mean_and_variance() -> None:
    y = RNG.normal(3, 2, (N, 1))
    assert fit(SquaredError(0.7), y, 1)["mu"] == pytest.approx(y.mean(), abs=1e-6)
    found = fit(Heteroscedastic(), y, 2)
    assert (found["mu"].item(), found["sigma"].item()) == pytest.approx((y.mean(), y.std()), abs=1e-5)


def test_laplace_median_and_mean_distance_from_it() -> None:
    y = RNG.laplace(1, 2, (N, 1))
    median = np.median(y)
    loss, best = Laplace(), math.log(math.expm1(np.abs(y - median).mean() - 1e-6))
    z = torch.tensor([[median, best]])
    least = loss.nll(z.expand(N, -1), torch.from_numpy(y)).mean()
    for step in ([1e-3, 0], [-1e-3, 0], [0, 1e-3], [0, -1e-3]):
        assert loss.nll((z + torch.tensor([step])).expand(N, -1), torch.from_numpy(y)).mean() > least


def test_student_t_is_scipys_fit() -> None:
    y = stats.t.rvs(3, loc=2, scale=0.5, size=(N, 1), random_state=RNG)
    _, loc, scale = stats.t.fit(y, f0=3)
    found = fit(StudentT(3.0), y, 2)
    assert (found["mu"].item(), found["scale"].item()) == pytest.approx((loc, scale), abs=1e-3)


def test_mixture_finds_both_modes() -> None:
    y = np.concatenate([RNG.normal(-2, 0.3, (200, 1)), RNG.normal(2, 0.3, (201, 1))])
    found = fit(Mixture(2), y, 6)
    np.testing.assert_allclose(np.sort(found["mu"][0]), [y[:200].mean(), y[200:].mean()], atol=1e-4)
    np.testing.assert_allclose(np.sort(found["weight"][0]), [200 / N, 201 / N], atol=1e-4)


def test_exponential_rate_is_one_over_the_mean() -> None:
    y = RNG.exponential(3, (N, 1))
    assert fit(Exponential(), y, 1)["rate"] == pytest.approx(1 / y.mean(), rel=1e-6)


def test_gamma_and_beta_are_scipys_fit() -> None:
    y = RNG.gamma(2.5, 1.5, (N, 1))
    shape, _, scale = stats.gamma.fit(y, floc=0)
    found = fit(Gamma(), y, 2)
    assert (found["shape"].item(), found["rate"].item()) == pytest.approx((shape, 1 / scale), rel=1e-4)
    share = RNG.beta(2, 5, (N, 1))
    a, b, _, _ = stats.beta.fit(share, floc=0, fscale=1)
    found = fit(Beta(), share, 2)
    assert (found["a"].item(), found["b"].item()) == pytest.approx((a, b), rel=1e-4)


def test_von_mises_circular_mean() -> None:
    y = RNG.vonmises(3.0, 2.0, (N, 1))  # centred at 3, so that some angles are beyond π
    assert fit(VonMises(), y, 3)["mu"] == pytest.approx(math.atan2(np.sin(y).mean(), np.cos(y).mean()), abs=1e-6)


def test_multivariate_normal_sample_mean_and_covariance() -> None:
    y = RNG.multivariate_normal([1, -1, 0], [[2, 0.8, 0], [0.8, 1, -0.3], [0, -0.3, 0.5]], N)
    found = fit(MultivariateNormal(), y, 9)
    np.testing.assert_allclose(found["mu"], y.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found["cholesky"] @ found["cholesky"].T, np.cov(y.T, bias=True), atol=1e-5)


def test_bernoulli_categorical_and_poisson_frequencies() -> None:
    y = (RNG.random((N, 1)) < 0.3).astype(float)
    assert fit(Bernoulli(), y, 1)["probability"] == pytest.approx(y.mean(), abs=1e-7)
    classes = RNG.integers(0, 3, N)
    np.testing.assert_allclose(fit(Categorical(), classes, 3)["probability"], np.bincount(classes) / N, atol=1e-6)
    counts = RNG.poisson(4, (N, 1)).astype(float)
    assert fit(Poisson(), counts, 1)["rate"] == pytest.approx(counts.mean(), rel=1e-7)


def test_two_items_are_bernoulli_on_the_difference_of_their_scores() -> None:
    scores = torch.randn(50, 2, dtype=torch.float64)
    ranking = torch.rand(50, 2).argsort(dim=1)
    first_wins = (ranking[:, :1] == 0).double()
    nll = PlackettLuce().nll(scores, ranking)
    torch.testing.assert_close(nll, Bernoulli().nll(scores[:, :1] - scores[:, 1:], first_wins))


def test_the_probabilities_of_all_rankings_add_up_and_samples_have_them() -> None:
    from itertools import permutations

    scores = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    orders = torch.tensor(list(permutations(range(3))))
    probabilities = (-PlackettLuce().nll(scores.expand(6, -1), orders)).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-12)
    w = scores[0].exp()
    by_hand = [w[i] / w.sum() * w[j] / (w.sum() - w[i]) for i, j, _ in orders.tolist()]
    torch.testing.assert_close(probabilities, torch.stack(by_hand))
    samples = PlackettLuce().sample(scores.expand(20_000, -1), 5)
    shares = torch.stack([(samples == order).all(dim=1).double().mean() for order in orders])
    assert ((shares - probabilities).abs() < 4 * (probabilities * (1 - probabilities) / 20_000).sqrt()).all()
    assert PlackettLuce().scores(scores.expand(2, -1), torch.tensor([[2, 0, 1], [2, 1, 0]])).tolist() == [1, 2 / 3]
    alike = torch.tensor([[1.0, 1.0, 0.0]])
    assert PlackettLuce().scores(alike, torch.tensor([[0, 1, 2]])).item() == pytest.approx(2 / 3)  # a tie is not right


def test_equal_logits_for_c_classes_cost_ln_c() -> None:
    nll = Categorical().nll(torch.zeros(1, 7, dtype=torch.float64), torch.tensor([3]))
    assert nll.item() == pytest.approx(math.log(7), abs=1e-15)


def test_angles_on_both_sides_of_pi_are_close() -> None:
    """−π + ε is 2ε away from π − ε. A whole turn changes no nll."""
    loss, near = VonMises(), torch.tensor([[-math.pi + 0.01]], dtype=torch.float64)
    outputs = torch.tensor([[math.cos(math.pi - 0.01), math.sin(math.pi - 0.01), 3.0]], dtype=torch.float64)
    assert loss.scores(outputs, near).item() == pytest.approx(0.02, abs=1e-9)
    torch.testing.assert_close(loss.nll(outputs, near), loss.nll(outputs, near + 2 * math.pi))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StudentT(1.0), "loss.degrees=1.0 must be more than 1"),
        (lambda: StudentT(math.nan), "loss.degrees=nan must be more than 1"),
        (lambda: Mixture(0), "loss.num_components=0 must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("a", "b", "wanted"), [(0.5, 2.0, 0.0), (2.0, 0.5, 1.0), (0.3, 0.6, 0.0), (0.6, 0.3, 1.0), (3.0, 2.0, 2 / 3)]
)
def test_a_beta_density_that_is_highest_at_an_end_has_its_mode_there(a: float, b: float, wanted: float) -> None:
    """Against SciPy's density on a grid that comes within 1e-6 of both ends."""
    outputs = torch.tensor([[math.log(math.expm1(value - 1e-6)) for value in (a, b)]], dtype=torch.float64)
    assert Beta().mode(outputs).item() == pytest.approx(wanted)
    grid = np.linspace(1e-6, 1 - 1e-6, 100_001)
    assert grid[np.argmax(stats.beta.pdf(grid, a, b))] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(("shape", "rate"), [(0.3, 2.0), (0.9, 0.5), (2.5, 2.0)])
def test_the_mode_of_a_gamma_distribution_is_not_negative(shape: float, rate: float) -> None:
    """Against SciPy's density on a grid: with a shape below 1 it is highest next to 0."""
    outputs = torch.tensor([[math.log(math.expm1(shape - 1e-6)), math.log(rate)]], dtype=torch.float64)
    grid = np.linspace(1e-6, 10, 200_001)
    wanted = grid[np.argmax(stats.gamma.pdf(grid, shape, scale=1 / rate))]
    assert Gamma().mode(outputs).item() == pytest.approx(wanted, abs=1e-4)
    assert Gamma().mode(outputs).item() >= 0


def test_probability_first_is_the_sum_over_the_rankings_an_item_leads() -> None:
    from itertools import permutations

    scores = torch.tensor([[0.5, -1.0, 2.0], [0.0, 3.0, 1.0]], dtype=torch.float64)
    orders = torch.tensor(list(permutations(range(3))))
    for row, found in zip(scores, PlackettLuce().link(scores)["probability_first"], strict=True):
        probabilities = (-PlackettLuce().nll(row.expand(6, -1), orders)).exp()
        wanted = [probabilities[orders[:, 0] == item].sum() for item in range(3)]
        torch.testing.assert_close(found, torch.stack(wanted))


def test_angular_errors_have_no_sign_and_are_averaged_over_the_targets() -> None:
    """μ = 0 and μ = 1; the first target lies 0.25 to the right, the second 0.5 to the left: 0.375 on average."""
    cosines, sines = [1.0, math.cos(1)], [0.0, math.sin(1)]
    outputs = torch.tensor([[*cosines, *sines, 0.0, 0.0]], dtype=torch.float64)
    for turn in (0.0, 2 * math.pi, -4 * math.pi):
        targets = torch.tensor([[-0.25 + turn, 1.5 - turn]], dtype=torch.float64)
        assert VonMises().scores(outputs, targets).item() == pytest.approx(0.375, abs=1e-9)


def test_infinite_degrees_are_refused() -> None:
    """They give the normal distribution, but log Γ[∞] − log Γ[∞] is NaN."""
    with pytest.raises(ValueError, match=r"loss.degrees=inf must be more than 1"):
        StudentT(math.inf)
