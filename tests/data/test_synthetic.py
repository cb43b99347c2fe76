from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit

from piecewise.data.classification import Binary1d
from piecewise.data.regression import Curve1d, Line
from piecewise.data.spec import TargetKind
from piecewise.data.synthetic import Synthetic
from piecewise.errors import BadInput

N = 20_000


def arrays(source: Synthetic, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    examples = source.generate(part)
    assert examples.x.dtype == examples.y.dtype == torch.float32
    return examples.x[:, 0].double().numpy(), examples.y[:, 0].double().numpy()


@pytest.mark.parametrize(
    ("source", "low", "high"), [(Line(N, 2), 0, 2), (Curve1d(N, 2), -1, 1), (Binary1d(N, 2), 0, 1)]
)
def test_inputs_are_uniform_on_their_interval(source: Synthetic, low: float, high: float) -> None:
    x, _ = arrays(source)
    assert low <= x.min() < x.max() <= high
    assert abs(x.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * N)
    assert abs(np.mean(x < low + (high - low) / 4) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / N)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("kind", ["line", "curve"])
def test_targets_are_the_function_plus_normal_noise(kind: str, part: str) -> None:
    """Mean, deviation and fourth moment of y − f(x) within 4 standard errors of 0, σ and 3σ⁴."""
    if kind == "line":
        x, y = arrays(Line(N, N, seed=3, intercept=1.0, slope=-2.0, noise=0.3), part)
        noise = (y - (1.0 - 2.0 * x)) / 0.3
    else:
        x, y = arrays(Curve1d(N, N, seed=4, noise=0.5), part)
        noise = (y - (np.exp(np.sin(4 * x)) - 1)) / 0.5
    assert abs(noise.mean()) < 4 / np.sqrt(N)
    assert abs(noise.std() - 1) < 4 / np.sqrt(2 * N)
    assert abs((noise**4).mean() - 3) < 4 * np.sqrt(96 / N)
    assert abs(np.mean(noise * x)) < 4 * np.sqrt(np.mean(x**2) / N), "noise does not depend on x"


def test_without_noise_the_targets_are_the_function() -> None:
    x, y = arrays(Line(50, 2, noise=0.0))
    np.testing.assert_allclose(y, 0.5 - 0.8 * x, atol=1e-6)


def test_binary_targets_have_the_declared_frequency() -> None:
    x, y = arrays(Binary1d(N, 2, sharpness=3.0))
    assert set(np.unique(y)) == {0.0, 1.0}
    probability = expit(3.0 * np.sin(2 * np.pi * x))
    for quarter in range(4):
        here = (x >= quarter / 4) & (x < (quarter + 1) / 4)
        error = np.sqrt(np.sum(probability[here] * (1 - probability[here]))) / here.sum()
        assert abs(y[here].mean() - probability[here].mean()) < 4 * error


@pytest.mark.parametrize("kind", [Line, Curve1d, Binary1d])
def test_examples_depend_on_seed_and_part_alone(kind: type[Line]) -> None:
    torch.manual_seed(1)
    first = arrays(kind(10, 10, seed=5))[0]
    torch.manual_seed(2)
    state = torch.get_rng_state()
    np.testing.assert_array_equal(arrays(kind(10, 10, seed=5))[0], first)
    assert torch.equal(torch.get_rng_state(), state)
    others = [arrays(kind(10, 10, seed=6))[0], arrays(kind(10, 10, seed=5), "test")[0]]
    assert all(np.intersect1d(first, other).size == 0 for other in others)


@pytest.mark.parametrize(
    ("source", "kind"),
    [(Line(7, 3), TargetKind.REAL), (Curve1d(7, 3), TargetKind.REAL), (Binary1d(7, 3), TargetKind.BINARY)],
)
def test_the_spec_fits_the_examples(source: Synthetic, kind: TargetKind) -> None:
    spec = source.spec()
    assert (spec.input_shape, spec.kinds, spec.num_targets) == ((1,), {kind}, 1)
    assert (len(source.train(kind)), len(source.test(kind))) == (spec.num_train, spec.num_test) == (7, 3)
    assert source.train(kind).x.shape == source.train(kind).y.shape == (7, 1)


@pytest.mark.parametrize("key", ["num_train", "num_test"])
def test_fewer_than_two_examples_are_refused(key: str) -> None:
    with pytest.raises(BadInput, match=f"data.{key}=1 must be at least 2"):
        Line(**{key: 1})
