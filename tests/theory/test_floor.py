"""The floor of every generated data set under every loss that accepts it, against a minimum that is searched for."""

from __future__ import annotations

import math
from importlib import import_module

import pytest
import torch
from torch import Tensor

from data.small_sets import SMALL
from piecewise.data.ranges import Counts, Proportions
from piecewise.data.regression import Curve1d, Outliers
from piecewise.data.synthetic import Synthetic
from piecewise.jobs.build import LOSSES
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.losses.squared_error import SquaredError
from piecewise.losses.student_t import StudentT
from piecewise.theory.floor import nll_floor

LOSS_CLASSES: dict[str, type[NegativeLogLikelihood]] = {
    name: getattr(import_module(f"piecewise.losses.{name}"), name.title().replace("_", ""))
    for names in LOSSES.values()
    for name in names
}
NUM_INPUTS, NUM_TARGETS = 4, 4000  # inputs, and targets drawn for each
SETS = [source for source in SMALL if isinstance(source, Synthetic)]
PAIRS = [
    (source, LOSS_CLASSES[name]()) for source in SETS for kind in sorted(source.spec().kinds) for name in LOSSES[kind]
]
DEAR = (("correlated", "Mixture"), ("spirals", "Bernoulli"))  # a second and more each
# Angles are no numbers on a line, and Student's t with 1.5 degrees of freedom has no variance.
NORMAL = ("SquaredError", "Heteroscedastic", "MultivariateNormal", "Mixture")
UNKNOWN = {
    *((source.name, loss) for source in SETS for loss in ("Laplace", "StudentT")),
    *((name, loss) for name in ("directions", "outliers") for loss in NORMAL),
    *((name, "Mixture") for name in ("waiting_times", "proportions", "counts")),
    ("proportions", "Gamma"),
}


def floors(source: Synthetic, loss: NegativeLogLikelihood, x: Tensor) -> Tensor | None:
    return loss.floor(source.given(x), source.entropy(x))


def least_found(source: Synthetic, loss: NegativeLogLikelihood, x: Tensor) -> tuple[Tensor, Tensor]:
    """The least mean nll of targets drawn at each x, by L-BFGS over the outputs; and its standard error.  (M,) each."""
    rng = torch.Generator().manual_seed(1)
    repeated = x.repeat_interleave(NUM_TARGETS, dim=0)
    has_own_inputs = source.name in ("moons", "spirals")
    y = source.given(repeated).sample() if has_own_inputs else source.draw(repeated, rng)
    outputs = torch.randn(len(x), loss.num_outputs(source.spec()), generator=rng, dtype=torch.float64)
    outputs.requires_grad_()
    search = torch.optim.LBFGS([outputs], max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-9)

    def nll() -> Tensor:
        return loss.nll(outputs.repeat_interleave(NUM_TARGETS, dim=0), y).reshape(len(x), NUM_TARGETS)

    def step() -> Tensor:
        search.zero_grad()
        total = nll().mean(dim=1).sum()
        total.backward()
        return total

    search.step(step)
    with torch.no_grad():
        found = nll()
    return found.mean(dim=1), found.std(dim=1) / math.sqrt(NUM_TARGETS)


@pytest.mark.parametrize(
    ("source", "loss"),
    [
        pytest.param(source, loss, marks=[pytest.mark.slow] if (source.name, type(loss).__name__) in DEAR else [])
        for source, loss in PAIRS
    ],
    ids=lambda value: getattr(value, "name", type(value).__name__),
)
def test_the_floor_is_the_least_that_is_found_by_search(source: Synthetic, loss: NegativeLogLikelihood) -> None:
    grid, _ = source.quadrature()
    x = grid[torch.linspace(0.1, 0.9, NUM_INPUTS).mul(len(grid)).long()]
    floor = floors(source, loss, x)
    if (source.name, type(loss).__name__) in UNKNOWN:
        assert floor is None or not bool(torch.isfinite(floor).any())
        assert nll_floor(source, loss) is None
        return
    assert floor is not None
    found, error = least_found(source, loss, x)
    assert bool(((found - floor).abs() < 4 * error + 0.01).all()), (found - floor, error)
    assert nll_floor(source, loss) is not None


def test_every_loss_accepts_some_generated_data() -> None:
    assert {type(loss) for _, loss in PAIRS} == set(LOSS_CLASSES.values())


def test_a_loss_with_the_data_s_own_tails_reaches_the_entropy() -> None:
    source = Outliers(60, 20)
    x, weights = source.quadrature()
    assert nll_floor(source, StudentT(source.degrees)) == pytest.approx(float(weights @ source.entropy(x)))


@pytest.mark.parametrize("noise", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_a_fixed_width_pays_for_the_difference(noise: float, sigma: float) -> None:
    """Cross-entropy of two normal distributions of one mean: ½ log 2πσ² + noise² / 2σ²."""
    wanted = 0.5 * math.log(2 * math.pi * sigma**2) + 0.5 * (noise / sigma) ** 2
    assert nll_floor(Curve1d(60, 20, noise=noise), SquaredError(sigma)) == pytest.approx(wanted)


def test_a_density_of_counts_is_not_their_probability() -> None:
    """A normal density may exceed 1 at whole numbers, so it costs less than the entropy; a mixture has no least."""
    source = Counts(60, 20, rate=0.05)
    floor = nll_floor(source, LOSS_CLASSES["heteroscedastic"]())
    assert floor is not None
    x = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    rate = 0.05 * torch.exp(torch.sin(6 * x))
    assert floor == pytest.approx(float((0.5 * torch.log(2 * math.pi * math.e * rate)).mean()), abs=1e-4)
    assert floor < nll_floor(source, LOSS_CLASSES["poisson"]())  # type: ignore[operator]
    assert nll_floor(source, LOSS_CLASSES["mixture"]()) is None


def test_an_exponential_of_proportions_has_their_mean() -> None:
    x = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    wanted = float((1 + torch.sigmoid(2 * torch.sin(6 * x)).log()).mean())
    assert nll_floor(Proportions(60, 20), LOSS_CLASSES["exponential"]()) == pytest.approx(wanted, abs=1e-4)
