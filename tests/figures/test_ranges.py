"""Ranges of axes, and figures of data without any spread."""

from __future__ import annotations

import numpy as np
import pytest

from piecewise.errors import Unavailable
from piecewise.figures.animation import Frame, animate
from piecewise.figures.ranges import LEAST, span
from piecewise.figures.style import to_svg
from piecewise.figures.surface import loss_surface

AXIS = np.linspace(-1, 1, 5)
PATH = np.array([[0.5, 0.5], [0.0, 0.0]])


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e30])
def test_a_range_is_kept_unless_it_is_too_narrow(size: float) -> None:
    assert span(-size, 2 * size) == (-size, 2 * size)
    assert span(size, size * (1 + 2 * LEAST)) == (size, size * (1 + 2 * LEAST))
    low, high = span(size, size)
    assert (low, high) == (size / 2, pytest.approx(1.5 * size))
    assert span(-size, -size) == (-high, -low)
    assert span(size, size * (1 + LEAST / 2)) == (pytest.approx(low), pytest.approx(high))


def test_zero_alone_is_the_middle_of_one() -> None:
    assert span(0.0, 0.0) == (-0.5, 0.5)


@pytest.mark.parametrize(("low", "high"), [(float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_without_an_end_is_refused(low: float, high: float) -> None:
    with pytest.raises(Unavailable, match=f"from {low:g} to {high:g} is not finite"):
        span(low, high)


@pytest.mark.parametrize(("lowest", "height"), [(0.0, 1.0), (1e6, 1e-6), (-3.0, 1e-15), (0.0, 1e30), (1e-30, 1e-30)])
def test_a_surface_of_any_height_is_drawn(lowest: float, height: float) -> None:
    square = (AXIS[:, None] ** 2 + AXIS**2) / 2
    figure = loss_surface(AXIS, AXIS, lowest + height * square, PATH, (lowest + height, lowest), ("a", "b"))
    assert b"<svg" in to_svg(figure)
    assert len(figure.axes[0].collections[0].levels) > 20


@pytest.mark.parametrize("value", [1.0, np.inf, np.nan])
def test_a_surface_without_height_is_refused(value: float) -> None:
    with pytest.raises(Unavailable, match="not finite, or the same everywhere"):
        loss_surface(AXIS, AXIS, np.full((5, 5), value), PATH, (1.0, 1.0), ("a", "b"))


@pytest.mark.parametrize("y", [0.0, -7.0, 1e30, 1e-30])
def test_a_constant_function_is_animated(y: float) -> None:
    x = np.array([-1.0, 1.0])
    assert animate((x, np.full(2, y)), [Frame(0, x, np.full(2, y))], "y", 50).startswith(b"GIF")
