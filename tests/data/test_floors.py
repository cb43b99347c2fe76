"""Every generated data set against SciPy's version of the described distribution, and its entropy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.special import expit, softmax

from data.small_sets import SMALL
from piecewise.data.classification import Binary1d, Multiclass1d, Regions2d
from piecewise.data.curved_classes import Arcs, Moons, Spirals
from piecewise.data.ranges import Correlated, Counts, Directions, Proportions, Rankings, WaitingTimes
from piecewise.data.regression import Curve1d, Funnel, GaborWave, Line, Outliers, TwoModes
from piecewise.data.stored import Generated
from piecewise.data.synthetic import Synthetic
from piecewise.errors import BadInput

N = 20_000
Array = np.ndarray


def entropy(source: Synthetic) -> float:
    """The mean over x of the entropy of y: the floor of a loss that can equal the true distribution."""
    x, weights = source.quadrature()
    assert float(weights.sum()) == pytest.approx(1)
    return float((weights * source.entropy(x)).sum())


def gabor(x: Array) -> Array:
    return np.sin(0.06 * 16.6 * x) * np.exp(-((0.06 * 16.6 * x) ** 2) / 32)


def two_modes(x: Array, y: Array) -> Array:
    return np.log(0.5 * stats.norm.pdf(y, x + 0.5, 0.1) + 0.5 * stats.norm.pdf(y, -x - 0.5, 0.1))


def proportions(x: Array, y: Array) -> Array:
    mean = expit(2 * np.sin(6 * x))
    return stats.beta.logpdf(y, 12 * mean, 12 * (1 - mean))


def correlated(x: Array, y: Array) -> Array:
    """The density of y₁ times that of y₂ given y₁, without a covariance matrix."""
    rho, u, v = 0.95 * (2 * x[:, 0] - 1), (y[:, 0] - np.sin(6 * x[:, 0])) / 0.3, (y[:, 1] - np.cos(6 * x[:, 0])) / 0.3
    spread = np.sqrt(1 - rho**2)
    return stats.norm.logpdf(u) + stats.norm.logpdf(v, rho * u, spread) - 2 * np.log(0.3)


def multiclass(x: Array, y: Array) -> Array:
    p = softmax(4 * np.cos(2 * np.pi * (x - np.arange(3) / 3)), axis=1)
    return np.log(p[np.arange(len(y)), y])


def rankings(x: Array, y: Array) -> Array:
    """Items are chosen first, second and third, each by a softmax over the items left."""
    scores, log_p = 2 * x * np.array([-1.5, -0.5, 0.5, 1.5]), np.zeros(len(x))
    for n, order in enumerate(y):
        for k in range(3):
            log_p[n] += np.log(softmax(scores[n][order[k:]])[0])
    return log_p


def bernoulli(p: Array, y: Array) -> Array:
    return stats.bernoulli.logpmf(y, p)


SETS: list[tuple[Synthetic, Callable[[Array, Array], Any]]] = [
    (Line(N, 2), lambda x, y: stats.norm.logpdf(y, 0.5 - 0.8 * x, 0.2)),
    (Curve1d(N, 2), lambda x, y: stats.norm.logpdf(y, np.exp(np.sin(4 * x)) - 1, 0.1)),
    (GaborWave(N, 2), lambda x, y: stats.norm.logpdf(y, gabor(x), 0.1)),
    (Funnel(N, 2), lambda x, y: stats.norm.logpdf(y, np.sin(6 * x), 0.05 + 0.55 * x)),
    (Outliers(N, 2), lambda x, y: stats.t.logpdf(y, 1.5, np.exp(np.sin(4 * x)) - 1, 0.1)),
    (TwoModes(N, 2), two_modes),
    (Binary1d(N, 2), lambda x, y: bernoulli(expit(4 * np.sin(2 * np.pi * x)), y)),
    (Regions2d(N, 2), lambda x, y: bernoulli(expit(4 * np.prod(np.sin(np.pi * x), axis=1, keepdims=True)), y)),
    (Multiclass1d(N, 2), multiclass),
    (WaitingTimes(N, 2), lambda x, y: stats.gamma.logpdf(y, 3, scale=np.exp(1 + np.sin(6 * x)) / 3)),
    (Proportions(N, 2), proportions),
    (Directions(N, 2), lambda x, y: stats.vonmises.logpdf(y, 5, loc=4 * np.pi * x)),
    (Counts(N, 2), lambda x, y: stats.poisson.logpmf(y, 3 * np.exp(np.sin(6 * x)))),
    (Correlated(N, 2), correlated),
    (Rankings(4000, 2), rankings),
]
ids = {"ids": lambda value: value.name if isinstance(value, Synthetic) else ""}


@pytest.mark.parametrize(("source", "log_p"), SETS, **ids)
def test_the_mean_nll_under_the_described_distribution_is_the_floor(
    source: Synthetic, log_p: Callable[[Array, Array], Any]
) -> None:
    """The mean of −log Pr(y | x), by SciPy, is the entropy within 4 standard errors."""
    examples = source.train(source.kind)
    y = examples.y.double() if examples.y.is_floating_point() else examples.y
    nll = -np.asarray(log_p(examples.x.double().numpy(), y.numpy()))
    nll = nll.reshape(len(nll), -1).sum(axis=1)
    assert abs(nll.mean() - entropy(source)) < 4 * nll.std() / np.sqrt(len(nll))


@pytest.mark.parametrize(("source", "log_p"), SETS, **ids)
def test_examples_have_the_declared_ranges_shapes_and_kinds(source: Synthetic, log_p: object) -> None:
    examples, spec = source.train(source.kind), source.spec()
    assert examples.x.shape == (len(examples), spec.num_inputs)
    assert examples.y.shape == ((len(examples),) if spec.num_classes else (len(examples), spec.num_targets))
    assert source.low <= examples.x.min()
    assert examples.x.max() <= source.high
    if spec_kind(source) in ("positive", "proportion"):
        assert examples.y.min() > 0
        assert examples.y.max() < (1 if source.kind == "proportion" else np.inf)
    if spec_kind(source) == "ranking":
        assert (examples.y.sort(dim=1).values == torch.arange(4)).all()
    if spec_kind(source) == "count":
        assert ((examples.y >= 0) & (examples.y == examples.y.round())).all()


def spec_kind(source: Synthetic) -> str:
    assert source.kind in source.spec().kinds
    return str(source.kind)


WITH_MEAN = [s for s, _ in SETS if s.kind not in ("class", "ranking") and not isinstance(s, Outliers)]


@pytest.mark.parametrize("source", WITH_MEAN, **ids)
def test_the_targets_have_the_declared_mean_in_each_half(source: Synthetic) -> None:
    examples = source.train(source.kind)
    y, mean = examples.y.double(), source.mean(examples.x.double())
    error = y - mean
    if isinstance(source, Directions):
        error = torch.atan2(error.sin(), error.cos())
    for here in (examples.x[:, 0] < examples.x.mean(), examples.x[:, 0] >= examples.x.mean()):
        assert (error[here].mean(dim=0).abs() < 4 * error[here].std(dim=0) / here.sum().sqrt()).all()


@pytest.mark.slow
def test_another_process_makes_the_same_bytes() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from data.small_sets import SMALL\n"
        "for source in SMALL: print(source.name, source.digest('train'), source.digest('test'))"
    )
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    command = [sys.executable, "-c", code, tests]
    found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    wanted = [[source.name, source.digest("train"), source.digest("test")] for source in SMALL]
    assert [line.split() for line in found.stdout.splitlines()] == wanted


def test_small_sets_contain_every_generated_data_set() -> None:
    """All of `conf/data` except the files of a user and MNIST."""
    conf = Path(__file__).parents[2] / "conf" / "data"
    assert {source.name for source in SMALL} == {path.stem for path in conf.glob("*.yaml")} - {"csv", "idx", "mnist"}


UNITS = {"waiting_times": ("1", "s"), "directions": ("1", "rad")}
REAL = -np.inf, np.inf
TARGETS = {
    **{"binary_1d": (0, 1), "regions_2d": (0, 1), "moons": (0, 1), "spirals": (0, 1), "multiclass_1d": (0, 2)},
    **{"waiting_times": (0, np.inf), "counts": (0, np.inf), "proportions": (0, 1), "directions": (-np.pi, np.pi)},
    **{"rankings": (0, 3), "mnist1d": (0, 9)},
}


@pytest.mark.parametrize("source", SMALL, ids=lambda source: source.name)
def test_units_and_ranges_are_as_described_and_hold_for_the_examples(source: Generated) -> None:
    assert source.units == UNITS.get(source.name, ("1", "1"))
    low, high = source.target_range()
    assert (low, high) == TARGETS.get(source.name, REAL)
    examples = source.train(source.kind)
    assert source.low <= examples.x.min() <= examples.x.max() <= source.high
    assert low <= examples.y.min() <= examples.y.max() <= high + 1e-6  # π in 32 bits


@pytest.mark.parametrize("noise", [1e-4, 1e-2, 0.1])
def test_two_modes_far_apart_cost_one_bit_more_than_a_single_mode(noise: float) -> None:
    floor = entropy(TwoModes(noise=noise))
    assert floor == pytest.approx(np.log(2) + 0.5 * np.log(2 * np.pi * np.e * noise**2), abs=1e-6)


def test_two_modes_that_overlap_are_integrated_as_by_scipy() -> None:
    source = TwoModes(noise=0.7)

    def cost(y: float, x: float) -> float:
        p = 0.5 * stats.norm.pdf(y, x + 0.5, 0.7) + 0.5 * stats.norm.pdf(y, -x - 0.5, 0.7)
        return float(-p * np.log(p))

    for x in (0.0, 0.6):
        wanted = quad(cost, -10, 10, args=(x,))[0]
        assert source.entropy(torch.tensor([[x]], dtype=torch.float64)).item() == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize(
    "source", [WaitingTimes(500, 2, shape=0.01), Proportions(500, 2, concentration=0.2)], ids=lambda source: source.name
)
def test_targets_that_float32_rounds_to_a_bound_stay_inside(source: Synthetic) -> None:
    """Float32 would round half of the targets to 0 or 1, where their loss is not defined."""
    y = source.train(source.kind).y
    assert (y > 0).all()
    assert source.kind == "positive" or (y < 1).all()
    assert (y < 1e-30).any()


@pytest.mark.parametrize("source", [Moons(N, 2), Spirals(4000, 2, noise=0.1)], **ids)
def test_curved_classes_have_the_frequencies_of_bayes_rule(source: Arcs) -> None:
    """Among the examples with Pr(y = 1 | x) near p, a share of p is of class 1; their nll is the floor."""
    examples = source.train(source.kind)
    p, y = source.mean(examples.x)[:, 0], examples.y[:, 0].double()
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        here = (p >= low) & (p < low + 0.2)
        assert abs(float((y - p)[here].mean())) < 4 * float((p * (1 - p))[here].sum().sqrt() / here.sum())
    nll = -torch.where(y == 1, p, 1 - p).log()
    assert abs(float(nll.mean()) - entropy(source)) < 4 * float(nll.std()) / np.sqrt(len(nll))
    assert source.low < examples.x.min() < examples.x.max() < source.high


def test_curved_classes_lie_along_their_curves() -> None:
    circle = Moons(N, 2, noise=0.01).train(Moons.kind)
    upper = circle.x[circle.y[:, 0] == 0].norm(dim=1)
    assert float((upper - 1).abs().max()) < 0.06
    spiral = Spirals(N, 2, noise=0.01).train(Spirals.kind)
    radius = spiral.x.norm(dim=1)
    assert 0.05 < radius.min() < radius.max() < 1.06


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Line(noise=-0.2), "data.noise=-0.2 must be at least 0"),
        (lambda: Curve1d(noise=-0.2), "data.noise=-0.2 must be at least 0"),
        (lambda: GaborWave(noise=-0.2), "data.noise=-0.2 must be at least 0"),
        (lambda: Funnel(least=0.0), "data.least=0.0 must be positive and at most data.most=0.6"),
        (lambda: Outliers(degrees=0.0), "data.degrees=0.0 must be positive"),
        (lambda: TwoModes(noise=0.0), "data.noise=0.0 must be positive"),
        (lambda: Moons(noise=-1.0), "data.noise=-1.0 must be positive"),
        (lambda: Counts(rate=0.0), "data.rate=0.0 must be positive"),
        (lambda: Counts(rate=1e9), "data.rate=1000000000.0 must be positive and at most 1000"),
        (lambda: Correlated(most=1.0), "data.most=1.0 must be at least 0 and less than 1"),
        (lambda: Multiclass1d(sharpness=float("nan")), "data.sharpness=nan must be a finite number"),
    ],
)
def test_parameters_out_of_range_are_refused(make: Callable[[], Synthetic], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()
