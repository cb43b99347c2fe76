"""Counts against published numbers, brute force, and the tight cases of bounds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import nn

from piecewise.errors import BadInput
from piecewise.models.cnn import Cnn
from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.shallow import Shallow
from piecewise.theory.bounds import (
    max_regions,
    num_parameters,
    parameters_for_budget,
    regions_within_reach,
    zaslavsky,
)
from piecewise.theory.composition import merge, zigzag
from piecewise.theory.joints import piecewise_linear
from piecewise.theory.patterns import count_patterns

QUICK = settings(max_examples=60, deadline=None, database=None, derandomize=True)


def test_published_counts() -> None:
    """UDL, chapters 3 and 4."""
    assert zaslavsky(3, 2) == 7
    assert zaslavsky(50, 10) == 13_432_735_556
    assert (num_parameters(1, 1, [10] * 5), max_regions(1, [10] * 5)) == (471, 161_051)
    assert num_parameters(10, 1, [50] * 5) == 10_801
    assert [num_parameters(1, 1, widths) for widths in ([95], [5] * 10)] == [286, 286]
    assert [max_regions(1, widths) for widths in ([95], [5] * 10)] == [96, 60_466_176]


@pytest.mark.parametrize(("width", "num_inputs"), [(1, 1), (4, 1), (3, 2), (5, 2), (4, 3), (5, 3), (3, 4), (0, 2)])
def test_zaslavsky_counts_every_sign_vector_that_a_linear_program_finds(width: int, num_inputs: int) -> None:
    """Brute force over the 2^D combinations of sides of D random planes: does a point lie strictly on these sides?"""
    rng = np.random.default_rng(width + 10 * num_inputs)
    normals, offsets = rng.normal(size=(width, num_inputs)), rng.normal(size=width)
    found = 0
    for signs in product((-1.0, 1.0), repeat=width):
        sides = np.array(signs)
        a = -sides[:, None] * np.hstack([normals, np.zeros((width, 1))]) + np.eye(1, num_inputs + 1, num_inputs)
        cost = np.zeros(num_inputs + 1)
        cost[-1] = -1  # maximises the margin
        bounds = [(-1e4, 1e4)] * num_inputs + [(None, 1)]
        solved = linprog(cost, a if width else None, sides * offsets if width else None, bounds=bounds)
        found += solved.status == 0 and solved.x[-1] > 1e-9
    assert found == zaslavsky(width, num_inputs)


@QUICK
@given(width=st.integers(1, 40), num_inputs=st.integers(1, 12))
def test_zaslavskys_number_follows_its_recursion(width: int, num_inputs: int) -> None:
    """The recursion r(D, d) = r(D − 1, d) + r(D − 1, d − 1), without a binomial."""
    assert zaslavsky(width, num_inputs) == zaslavsky(width - 1, num_inputs) + zaslavsky(width - 1, num_inputs - 1)
    if width <= num_inputs:
        assert zaslavsky(width, num_inputs) == 2**width


@QUICK
@given(width=st.integers(1, 30), depth=st.integers(1, 6), num_inputs=st.integers(1, 5))
def test_regions_within_reach_are_at_most_the_bound(width: int, depth: int, num_inputs: int) -> None:
    if width < num_inputs:
        with pytest.raises(ValueError, match=f"width={width} must be at least num_inputs={num_inputs}"):
            regions_within_reach(num_inputs, width, depth)
        return
    reach, bound = regions_within_reach(num_inputs, width, depth), max_regions(num_inputs, [width] * depth)
    assert reach <= bound
    if depth == 1 or num_inputs == 1:
        assert reach == bound


def test_a_narrow_layer_limits_the_layers_after_it() -> None:
    """After one unit there is one dimension left, where 20 units cut each of 2 regions into 21."""
    assert max_regions(5, [1, 20]) == 2 * 21
    assert max_regions(5, [20, 1]) == zaslavsky(20, 5) * 2


@pytest.mark.parametrize("folds", [2, 3, 4])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_folding_networks_reach_folds_to_the_power_of_depth(folds: int, depth: int) -> None:
    model: Shallow | Mlp = zigzag(folds)
    for _ in range(depth - 1):
        model = merge(model, zigzag(folds))
    function = piecewise_linear(model, 0.0, 1.0)
    assert function is not None
    assert len(function.slopes) == folds**depth
    np.testing.assert_allclose(function.joints, np.arange(1, folds**depth) / folds**depth, atol=1e-12)
    np.testing.assert_allclose(function.slopes[:, 0].abs(), float(folds**depth), rtol=1e-9)


@QUICK
@given(
    num_inputs=st.integers(1, 20),
    num_outputs=st.integers(1, 20),
    widths=st.lists(st.integers(1, 30), min_size=1, max_size=4),
)
def test_num_parameters_counts_those_of_the_model(num_inputs: int, num_outputs: int, widths: list[int]) -> None:
    model = Mlp(num_inputs, num_outputs, width=widths)
    assert num_parameters(num_inputs, num_outputs, widths) == sum(p.numel() for p in model.parameters())


@QUICK
@given(width=st.integers(1, 200), depth=st.integers(1, 12))
def test_num_parameters_is_udls_formula_for_one_input_and_output(width: int, depth: int) -> None:
    assert num_parameters(1, 1, [width] * depth) == 3 * width + 1 + (depth - 1) * width * (width + 1)


@QUICK
@given(budget=st.integers(1, 10**7), depth=st.integers(1, 10), num_inputs=st.integers(1, 50))
def test_a_budget_is_reached_from_below_and_no_wider_network_fits(budget: int, depth: int, num_inputs: int) -> None:
    least = num_parameters(num_inputs, 1, [1] * depth)
    if budget < least:
        with pytest.raises(BadInput, match=f"budget={budget} is too small: {depth} layers of one unit have {least}"):
            parameters_for_budget(budget, depth, num_inputs)
        return
    found = parameters_for_budget(budget, depth, num_inputs)
    assert found.requested == budget
    assert found.reached == num_parameters(num_inputs, 1, [found.width] * depth) <= budget
    assert num_parameters(num_inputs, 1, [found.width + 1] * depth) > budget


def test_equal_budgets_of_the_lecture() -> None:
    assert parameters_for_budget(286, 1).width == 95
    assert parameters_for_budget(286, 10).width == 5
    with pytest.raises(BadInput, match="depth=0 must be a whole number of at least 1"):
        parameters_for_budget(100, 0)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (lambda: zaslavsky(-1, 2), "num_units=-1 must be a whole number of at least 0"),
        (lambda: zaslavsky(3, 1.5), "num_inputs=1.5 must be a whole number of at least 0"),
        (lambda: max_regions(0, [3]), "num_inputs=0 must be a whole number of at least 1"),
        (lambda: max_regions(1, [3, 0]), "width=0 must be a whole number of at least 1"),
        (lambda: regions_within_reach(1, 3, 0), "depth=0 must be a whole number of at least 1"),
        (lambda: regions_within_reach(0, 3, 2), "num_inputs=0 must be a whole number of at least 1"),
        (lambda: num_parameters(1, 1, [-3]), "width=-3 must be a whole number of at least 1"),
        (lambda: num_parameters(1, 0, [3]), "num_outputs=0 must be a whole number of at least 1"),
        (lambda: parameters_for_budget(2.5e3, 2), "budget=2500.0 must be a whole number of at least 1"),
        (lambda: parameters_for_budget(286, 1.5), "depth=1.5 must be a whole number of at least 1"),
    ],
)
def test_invalid_sizes_are_refused(count: Callable[[], object], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        count()
    assert str(caught.value) == message


def test_a_unit_that_is_exactly_zero_is_not_active() -> None:
    """As in the network itself: a dead unit whose pre-activation is 0 everywhere makes no second pattern."""
    model = Shallow(1, 1, width=2)
    with torch.no_grad():
        model.hidden.weight.copy_(torch.tensor([[1.0], [0.0]]))
        model.hidden.bias.zero_()
    assert count_patterns(model, torch.tensor([[-1.0], [0.0]])) == 1
    assert count_patterns(model, torch.tensor([[0.0], [1.0]])) == 2


def test_patterns_on_a_sample_are_those_of_a_loop() -> None:
    torch.manual_seed(0)
    model, x = Mlp(3, 1, depth=2, width=5), torch.randn(300, 3)
    seen = set()
    for row in x:
        h = row
        pattern: list[bool] = []
        for layer in model.hidden:
            z = layer(h)
            pattern += (z > 0).tolist()
            h = z.clamp_min(0)
        seen.add(tuple(pattern))
    assert count_patterns(model, x) == len(seen) > 10


def test_a_dense_sample_meets_every_region_of_a_plane() -> None:
    """Three lines in general position, 20,000 points: seven patterns, by count and by Zaslavsky."""
    model = Shallow(2, 1, width=3)
    with torch.no_grad():
        model.hidden.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        model.hidden.bias.copy_(torch.tensor([0.0, 0.0, -0.5]))
    assert count_patterns(model, 4 * torch.rand(20_000, 2) - 2) == zaslavsky(3, 2)


@pytest.mark.parametrize("model", [Linear(2, 1), Shallow(2, 1, activation="tanh"), nn.Linear(2, 1)])
def test_a_model_without_relu_has_no_patterns(model: nn.Module) -> None:
    with pytest.raises(ValueError, match="has no ReLU whose pattern could be counted"):
        count_patterns(model, torch.zeros(3, 2))


def test_convolutions_have_patterns_too() -> None:
    torch.manual_seed(0)
    assert 1 < count_patterns(Cnn((1, 8, 8), 2, width=[3]).eval(), torch.randn(50, 1, 8, 8)) <= 50


def test_the_narrowest_layer_before_limits_all_layers_after_it() -> None:
    """After one unit there is one dimension, however wide later layers are; never more than there are inputs."""
    assert max_regions(5, [1, 20, 20]) == 2 * 21 * 21
    assert max_regions(2, [20, 1, 20, 20]) == (1 + 20 + 190) * 2 * 21 * 21


def test_regions_within_reach_by_hand() -> None:
    """Two inputs, three layers of four units: each of two layers folds each input in 3, then 1 + 4 + 6 regions."""
    assert regions_within_reach(2, 4, 3) == (3 * 3) * (3 * 3) * (1 + 4 + 6)
    assert regions_within_reach(2, 5, 2) == (3 * 3) * (1 + 5 + 10)  # the fifth unit is half a fold
    assert regions_within_reach(10, 50, 5) == 6**40 * 13_432_735_556


@pytest.mark.parametrize(("num_inputs", "num_outputs", "depth"), [(1, 1, 1), (3, 10, 1), (3, 10, 2), (7, 4, 3)])
def test_a_budgets_width_is_that_of_the_widest_model_within_it(num_inputs: int, num_outputs: int, depth: int) -> None:
    """Models are built one unit wider each time. A budget equal to the count is enough."""

    def count(width: int) -> int:
        return sum(p.numel() for p in Mlp(num_inputs, num_outputs, depth=depth, width=width).parameters())

    for budget in (count(1), count(2) - 1, count(2), count(9), count(9) + 1):
        width = 1
        while count(width + 1) <= budget:
            width += 1
        found = parameters_for_budget(budget, depth, num_inputs, num_outputs)
        assert (found.width, found.requested, found.reached) == (width, budget, count(width))


def test_patterns_of_all_chunks_are_counted() -> None:
    """Of 20,000 examples, which are several chunks, only the first has the other pattern."""
    x = torch.ones(20_000, 1)
    x[0] = -1.0
    model = Shallow(1, 1, width=1)
    with torch.no_grad():
        model.hidden.weight.fill_(1.0)
        model.hidden.bias.zero_()
    assert count_patterns(model, x) == 2


def test_a_model_without_a_trace_has_no_patterns() -> None:
    with pytest.raises(ValueError, match="Sequential has no ReLU whose pattern could be counted"):
        count_patterns(nn.Sequential(nn.Linear(2, 1), nn.ReLU()), torch.zeros(3, 2))


def test_layers_of_different_size_form_one_pattern() -> None:
    """Two blocks, of 4 × 4 and 2 × 2 pixels, against the signs one by one."""
    torch.manual_seed(0)
    model, x = Cnn((1, 8, 8), 2, width=[2, 3]).eval(), torch.randn(30, 1, 8, 8)
    signs = [
        [bool(value > 0) for z in model.trace(image[None]).pre_activations for value in z.flatten()] for image in x
    ]
    assert count_patterns(model, x.repeat(2, 1, 1, 1)) == len({tuple(row) for row in signs})
