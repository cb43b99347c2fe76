from __future__ import annotations

import numpy as np
import pytest
import torch

from piecewise.theory.closed_form import least_squares


@pytest.mark.parametrize(("num_inputs", "num_targets"), [(1, 1), (3, 2), (5, 1)])
def test_the_coefficients_are_numpys(num_inputs: int, num_targets: int) -> None:
    x, y = torch.randn(30, num_inputs) * 10 + 3, torch.randn(30, num_targets)
    intercept, slopes = least_squares(x, y)
    design = np.hstack([np.ones((30, 1)), x.double().numpy()])
    wanted, *_ = np.linalg.lstsq(design, y.double().numpy(), rcond=None)
    assert (intercept.shape, slopes.shape) == ((num_targets,), (num_targets, num_inputs))
    np.testing.assert_allclose(intercept, wanted[0], atol=1e-12)
    np.testing.assert_allclose(slopes, wanted[1:].T, atol=1e-12)


def test_one_input_is_the_formula_of_the_textbook() -> None:
    x, y = torch.rand(20, 1, dtype=torch.float64), torch.randn(20, 1, dtype=torch.float64)
    dx, dy = x - x.mean(), y - y.mean()
    slope = float((dx * dy).sum() / (dx * dx).sum())
    intercept, slopes = least_squares(x, y)
    assert slopes.item() == pytest.approx(slope, abs=1e-12)
    assert intercept.item() == pytest.approx(float(y.mean()) - slope * float(x.mean()), abs=1e-12)


@pytest.mark.parametrize(("unit", "offset"), [(1e-13, 0.0), (1e13, 0.0), (1.0, 1.7e9), (1e-3, 1e6)])
def test_the_unit_and_the_origin_of_an_input_do_not_matter(unit: float, offset: float) -> None:
    """Seconds since 1970, or a tenth of a picometre: y = 1 + 3 (x − offset) / unit, beside an input of plain size."""
    numbers = torch.tensor([[0.0, 1.0], [1.0, -1.0], [2.0, 0.5], [4.0, 2.0]], dtype=torch.float64)
    x = torch.column_stack([offset + unit * numbers[:, 0], numbers[:, 1]])
    y = 1 + 3 * (x[:, :1] - offset) / unit - 2 * x[:, 1:]
    intercept, slopes = least_squares(x, y)
    np.testing.assert_allclose(slopes[0], [3 / unit, -2], rtol=1e-6)
    assert intercept.item() == pytest.approx(1 - 3 * offset / unit, rel=1e-6)


@pytest.mark.parametrize("count", [3, 6, 10, 100])
def test_a_constant_input_is_refused_whatever_the_rounding_of_its_mean(count: int) -> None:
    """Three times 0.1 is more than 0.3 in float64."""
    for value in (0.1, 1.7e9 + 0.1, -1e-20 / 3):
        with pytest.raises(ValueError, match="do not determine"):
            least_squares(torch.full((count, 1), value, dtype=torch.float64), torch.zeros(count, 1))


@pytest.mark.parametrize(("size", "is_enough"), [(1e-8, True), (1e-14, False)])
def test_nearly_equal_inputs_are_separated_as_far_as_rounding_allows(size: float, is_enough: bool) -> None:
    first, other = torch.randn(2, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.column_stack([first, first + size * other])
    y = (first + 2 * x[:, 1])[:, None]
    if is_enough:
        np.testing.assert_allclose(least_squares(x, y)[1], [[1, 2]], rtol=1e-5)
    else:
        with pytest.raises(ValueError, match="do not determine"):
            least_squares(x, y)


def test_as_many_examples_as_coefficients_are_fitted_exactly() -> None:
    intercept, slopes = least_squares(torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [8.0]]))
    assert (intercept.item(), slopes.item()) == (pytest.approx(-1), pytest.approx(3))


def test_the_gradient_of_the_squares_vanishes() -> None:
    x, y = torch.randn(2, 40, 1, dtype=torch.float64)
    intercept, slopes = (beta.requires_grad_() for beta in least_squares(x, y))
    ((y - intercept - x @ slopes.T) ** 2).sum().backward()
    assert max(intercept.grad.abs().max(), slopes.grad.abs().max()) < 1e-11  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(1, 1),  # fewer examples than coefficients
        torch.full((5, 1), 0.3),  # a constant input beside the intercept
        torch.arange(5.0)[:, None].repeat(1, 2),  # the same input twice
        torch.randn(2, 3),
        torch.zeros(0, 1),
    ],
    ids=["one", "constant", "twice", "wide", "none"],
)
def test_inputs_that_do_not_determine_the_coefficients_are_refused(x: torch.Tensor) -> None:
    message = f"{len(x)} examples of {x.shape[1]} inputs do not determine the coefficients"
    with pytest.raises(ValueError, match=message):
        least_squares(x, torch.zeros(len(x), 1))


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"y must have 2 dimensions, got shape \(5,\)"):
        least_squares(torch.randn(5, 1), torch.randn(5))


def test_as_many_targets_as_examples_are_needed() -> None:
    with pytest.raises(ValueError, match=r"first column of x has shape \(5, 1\) but that of y has shape \(1, 1\)"):
        least_squares(torch.randn(5, 2), torch.randn(1, 1))


def test_a_vector_of_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x must have 2 dimensions, got shape \(5,\)"):
        least_squares(torch.randn(5), torch.randn(5, 1))


@pytest.mark.parametrize("count", [3, 6, 7, 10, 100])
@pytest.mark.parametrize("place", [0, 1])
def test_a_constant_input_beside_another_is_refused(count: int, place: int) -> None:
    """The rounding of its mean, up to 2e-7 for seconds since 1970, may be far above that of the other input."""
    other = torch.linspace(-1, 1, count, dtype=torch.float64)
    for value in (0.1, 1.7e9 + 0.1, 1.7e9 + 0.3, 1e12 / 3, -1e-20 / 3):
        columns = [other, torch.full((count,), value, dtype=torch.float64)]
        with pytest.raises(ValueError, match=f"{count} examples of 2 inputs do not determine"):
            least_squares(torch.column_stack([columns[place], columns[1 - place]]), torch.zeros(count, 1))
