from __future__ import annotations

import numpy as np
import pytest

from piecewise.figures.fit import MAX_SHADED, Truth, fitted_function
from piecewise.figures.style import to_svg

DATA = np.array([-0.5, 0.5, 0.9]), np.array([0.4, 0.6, 0.9])
X, Y = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0])  # |x|


def test_examples_function_and_joints_are_drawn() -> None:
    joints = np.array([-0.25, 0.0])
    (axes,) = fitted_function(DATA, X, Y, joints).axes
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), np.stack(DATA, axis=1))
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_array_equal(lines["network"], np.stack([X, Y], axis=1))
    np.testing.assert_allclose(lines["joints"], np.stack([joints, np.abs(joints)], axis=1))


@pytest.mark.parametrize(
    ("joints", "finding"),
    [
        (None, "The fitted function is a smooth curve"),
        (np.array([]), "The fitted function is one straight line"),
        (np.array([0.0]), "The fitted function has 2 linear regions and 1 joint"),
        (np.array([0.0, 0.5]), "The fitted function has 3 linear regions and 2 joints"),
    ],
)
def test_the_title_is_the_finding(joints: np.ndarray | None, finding: str) -> None:
    figure = fitted_function(DATA, X, Y, joints, y_label="Pr(y = 1)")
    (axes,) = figure.axes
    assert (axes.get_title(loc="left"), figure.get_label()) == (finding, finding)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "Pr(y = 1)")
    assert to_svg(figure) == to_svg(fitted_function(DATA, X, Y, joints, y_label="Pr(y = 1)"))


@pytest.mark.parametrize(("count", "shaded"), [(0, 0), (1, 1), (2, 2), (3, 2), (MAX_SHADED + 1, 0)])
def test_every_second_region_is_shaded(count: int, shaded: int) -> None:
    joints = np.linspace(-0.9, 0.9, count)
    (axes,) = fitted_function(DATA, X, Y, joints).axes
    assert len(axes.patches) == shaded
    if shaded:
        assert axes.patches[0].get_x() == -1.0
        assert axes.patches[0].get_x() + axes.patches[0].get_width() == pytest.approx(joints[0])


def test_the_truth_has_a_band_as_wide_as_its_noise() -> None:
    (axes,) = fitted_function(DATA, X, Y, truth=Truth(X, Y, 0.25)).axes
    band = axes.collections[1].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (-0.25, 1.25)
    (axes,) = fitted_function(DATA, X, Y, truth=Truth(X, Y)).axes
    assert len(axes.collections) == 1
    assert "E[y | x]" in [line.get_label() for line in axes.lines]


def test_inputs_and_values_must_pair_up() -> None:
    with pytest.raises(ValueError, match="same first dimension"):
        fitted_function(DATA, X, Y[:-1])


def test_the_band_lies_between_its_bounds() -> None:
    x = np.linspace(0, 1, 5)
    figure = fitted_function((x, x), x, x, band=(x - 1, x + 2))
    (axes,) = figure.axes
    (band,) = [drawn for drawn in axes.collections if drawn.get_label() == "predicted 95 % interval"]
    heights = band.get_paths()[0].vertices
    at_one = heights[heights[:, 0] == 1.0, 1]
    assert (at_one.min(), at_one.max()) == (0.0, 3.0)


@pytest.mark.parametrize("band", [None, (Y - 1, Y + 1)])
@pytest.mark.parametrize("joints", [None, np.array([0.0])])
@pytest.mark.parametrize("truth", [None, Truth(X, Y), Truth(X, Y, 0.25)])
def test_the_legend_lies_inside_the_figure(
    truth: Truth | None, joints: np.ndarray | None, band: tuple[np.ndarray, np.ndarray] | None
) -> None:
    figure = fitted_function(DATA, X, Y, joints, truth, band=band)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_tightbbox()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert 0 <= box.y0 < box.y1 < figure.bbox.height / 3
