from __future__ import annotations

import numpy as np
import pytest

from piecewise.figures.fit import fitted_function
from piecewise.figures.style import to_svg

TRAIN_X, TRAIN_Y = np.array([-0.5, 0.5, 0.9]), np.array([0.4, 0.6, 0.9])
X, Y = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0])  # |x|


def test_examples_function_and_joints_are_drawn() -> None:
    joints = np.array([-0.25, 0.0])
    (axes,) = fitted_function(TRAIN_X, TRAIN_Y, X, Y, joints, "y").axes
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), np.stack([TRAIN_X, TRAIN_Y], axis=1))
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_array_equal(lines["network"], np.stack([X, Y], axis=1))
    np.testing.assert_allclose(lines["joints"], np.stack([joints, np.abs(joints)], axis=1))


@pytest.mark.parametrize(
    ("joints", "title"),
    [
        (None, "Fitted function"),
        (np.array([]), "Fitted function: 1 linear region"),
        (np.array([0.0]), "Fitted function: 2 linear regions"),
    ],
)
def test_the_title_counts_the_regions(joints: np.ndarray | None, title: str) -> None:
    figure = fitted_function(TRAIN_X, TRAIN_Y, X, Y, joints, "Pr(y = 1)")
    (axes,) = figure.axes
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == (title, "x", "Pr(y = 1)")
    assert to_svg(figure) == to_svg(fitted_function(TRAIN_X, TRAIN_Y, X, Y, joints, "Pr(y = 1)"))


def test_inputs_and_values_must_pair_up() -> None:
    with pytest.raises(ValueError, match="same first dimension"):
        fitted_function(TRAIN_X, TRAIN_Y, X, Y[:-1], None, "y")
