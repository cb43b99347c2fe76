from __future__ import annotations

import numpy as np
import pytest

from piecewise.figures.units import unit_by_unit

X = np.linspace(-1, 1, 5)
PRE = np.stack([X, 0.5 - X, X + 3], axis=1)  # the third is active everywhere
ACT = np.maximum(PRE, 0)
WEIGHTS = np.array([1.0, -2.0, 0.5])


def test_each_row_is_a_step_of_the_sum() -> None:
    figure = unit_by_unit(X, PRE, ACT, WEIGHTS, bias=0.25)
    *panels, total = figure.axes
    rows = [[panels[3 * row + unit].lines[1].get_ydata() for unit in range(3)] for row in range(3)]
    np.testing.assert_array_equal(np.stack(rows[0], axis=1), PRE)
    np.testing.assert_array_equal(np.stack(rows[1], axis=1), ACT)
    np.testing.assert_array_equal(np.stack(rows[2], axis=1), ACT * WEIGHTS)
    np.testing.assert_allclose(total.lines[-1].get_ydata(), ACT @ WEIGHTS + 0.25)


def test_the_title_counts_the_units_that_bend() -> None:
    figure = unit_by_unit(X, PRE, ACT, WEIGHTS, 0.0)
    assert figure.get_label() == "2 of 3 units bend the sum where their pre-activation is zero"


def test_a_unit_without_its_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        unit_by_unit(X, PRE, ACT, WEIGHTS[:2], 0.0)
