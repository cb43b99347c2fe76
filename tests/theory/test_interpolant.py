from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d

from piecewise.theory.interpolant import interpolant, interpolation_error
from piecewise.theory.joints import piecewise_linear


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 2**32), pieces=st.integers(1, 30))
def test_the_network_is_scipys_interpolation(seed: int, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.1, 1.0, pieces + 1))
    y = rng.normal(size=pieces + 1)
    model = interpolant(torch.from_numpy(x), torch.from_numpy(y))
    at = np.linspace(x[0], x[-1], 301)
    with torch.no_grad():
        found = model(torch.from_numpy(at)[:, None])[:, 0]
    np.testing.assert_allclose(found, interp1d(x, y)(at.clip(x[0], x[-1])), atol=1e-10)
    assert model.hidden.out_features == pieces


def test_the_joints_are_the_inner_points() -> None:
    x = torch.tensor([0.0, 0.5, 2.0, 3.0])
    function = piecewise_linear(interpolant(x, torch.tensor([1.0, -1.0, 4.0, 0.0])), 0.0, 3.0)
    assert function is not None
    np.testing.assert_allclose(function.knots, x, atol=1e-12)
    np.testing.assert_allclose(function.slopes[:, 0], [-4, 10 / 3, -4], atol=1e-12)


def test_the_error_falls_with_the_square_of_the_pieces_and_stays_below_its_bound() -> None:
    """sin on [0, π]; the bound is reached by a parabola, whose second derivative is the same everywhere."""
    errors, counts = [], [4, 8, 16, 32, 64, 128]
    at = torch.linspace(0, torch.pi, 20_001, dtype=torch.float64)
    for pieces in counts:
        x = torch.linspace(0, torch.pi, pieces + 1, dtype=torch.float64)
        with torch.no_grad():
            errors.append(float((interpolant(x, x.sin())(at[:, None])[:, 0] - at.sin()).abs().max()))
        assert errors[-1] <= interpolation_error(1.0, torch.pi / pieces)
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-2, abs=0.1)
    x = torch.linspace(0, 1, 5, dtype=torch.float64)
    with torch.no_grad():
        middle = interpolant(x, x.square())(torch.tensor([[0.125]], dtype=torch.float64)).item()
    assert middle - 0.125**2 == pytest.approx(interpolation_error(2.0, 0.25), abs=1e-15)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.0], [1.0], "at least 2 increasing points"),
        ([0.0, 0.0], [1.0, 2.0], "at least 2 increasing points"),
        ([1.0, 0.0], [1.0, 2.0], "at least 2 increasing points"),
        ([0.0, 1.0], [1.0], r"x has shape \(2,\) but y has shape \(1,\)"),
        ([[0.0, 1.0]], [1.0], "x must have 1 dimensions"),
    ],
)
def test_points_that_are_no_function_are_refused(x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interpolant(torch.tensor(x), torch.tensor(y))
