from __future__ import annotations

import timeit

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from piecewise.models.cnn import Cnn
from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.residual import Residual
from piecewise.models.shallow import Shallow
from piecewise.theory import polygons
from piecewise.theory.bounds import max_regions, zaslavsky
from piecewise.theory.patterns import count_patterns
from piecewise.theory.polygons import Box, RegionMap, TooManyRegions, region_map

BOX: Box = (-1.0, 1.0, -1.0, 1.0)
EVERYWHERE: Box = (-1e3, 1e3, -1e3, 1e3)


def exact(model: nn.Module, box: Box = BOX) -> RegionMap:
    found = region_map(model, box)
    assert found is not None
    assert sum(region.area for region in found.regions) == pytest.approx(
        (box[1] - box[0]) * (box[3] - box[2]), rel=1e-9
    )
    return found


def lines(*rows: tuple[float, float, float]) -> Shallow:
    """A unit for each line a x₁ + b x₂ + c = 0."""
    model = Shallow(2, 1, width=len(rows)).double()
    values = torch.tensor(rows, dtype=torch.float64)
    with torch.no_grad():
        model.hidden.weight.copy_(values[:, :2])
        model.hidden.bias.copy_(values[:, 2])
    return model


def with_random_biases(model: nn.Module) -> nn.Module:
    """The model with biases that put joints into the box."""
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.bias.uniform_(-0.5, 0.5)
    return model.double().eval()


def models(seed: int) -> list[nn.Module]:
    torch.manual_seed(seed)
    made = [Shallow(2, 2, width=9), Mlp(2, 1, depth=3, width=6), Residual(2, 1, 2, 5), Mlp(2, 1, 3, 5, residual=True)]
    return [with_random_biases(model) for model in made]


@settings(max_examples=12, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 2**32), kind=st.integers(0, 3))
def test_the_map_is_the_network_everywhere(seed: int, kind: int) -> None:
    """At random points of each polygon its affine function and pattern are the network's. No two polygons share a
    pattern, and a fine grid finds no other pattern."""
    model = models(seed)[kind]
    found = exact(model)
    rng = np.random.default_rng(seed)
    for region in found.regions:
        assert region.area > 0
        weights = rng.dirichlet(np.ones(len(region.vertices)), size=3)
        x = torch.from_numpy(weights @ region.vertices)
        with torch.no_grad():
            trace = model.trace(x)  # type: ignore[operator]
        torch.testing.assert_close(trace.output, region.intercept + x @ region.slope.T, atol=1e-9, rtol=1e-9)
        if region.area > 1e-6:
            signs = torch.cat([z > 0 for z in trace.pre_activations], dim=1)
            assert (signs == region.pattern).all()
    patterns = {tuple(region.pattern.tolist()) for region in found.regions}
    assert len(patterns) == len(found.regions)
    side = torch.linspace(-1, 1, 200, dtype=torch.float64)
    with torch.no_grad():
        grid = model.trace(torch.cartesian_prod(side, side))  # type: ignore[operator]
    seen = torch.unique(torch.cat([z > 0 for z in grid.pre_activations], dim=1), dim=0)
    assert {tuple(row) for row in seen.tolist()} <= patterns


@pytest.mark.parametrize("width", [1, 2, 3, 6, 12])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lines_in_general_position_make_zaslavskys_number(width: int, seed: int) -> None:
    """In a box that holds every crossing. Three lines make seven regions (UDL figure 3.8)."""
    torch.manual_seed(seed)
    angles = torch.pi * (torch.arange(width) + 0.5 * torch.rand(width)) / width
    rows = torch.stack([angles.cos(), angles.sin(), torch.rand(width) - 0.5], dim=1).tolist()
    found = exact(lines(*[(a, b, c) for a, b, c in rows]), EVERYWHERE)
    assert len(found.regions) == zaslavsky(width, 2) == max_regions(2, [width])
    assert found.num_snapped == 0


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([], 1),
        ([(0, 0, 1), (0, 0, -1), (0, 0, 0)], 1),  # zero weights
        ([(1, 0, 5), (0, 1, -5)], 1),  # outside the box
        ([(1, 0, 0), (1, 0, 0.5), (1, 0, -0.5)], 4),  # parallel
        ([(1, 0, 0.2), (2, 0, 0.4), (-3, 0, -0.6)], 2),  # one line thrice
        ([(1, 0, 0), (0, 1, 0), (1, 1, 0)], 6),  # three through a point
        ([(1, -1, 0)], 2),  # through two corners
        ([(1, -1, 0), (1, 1, 0)], 4),  # both diagonals
        ([(1, 1, 2)], 1),  # touching a corner
        ([(1, 0, 1)], 1),  # along an edge
        ([(1, 1, -1), (1, -1, -1)], 3),  # crossing on an edge
        ([(1, 1, -1), (1, -1, -1), (0, 1, 0)], 4),  # three of them
        ([(1, 1, 0), (1, -1, 0), (1, 0, 0), (0, 1, 0)], 8),  # four through the middle
    ],
)
def test_degenerate_lines(rows: list[tuple[float, float, float]], count: int) -> None:
    model = lines(*rows) if rows else Linear(2, 1).double()
    assert len(exact(model).regions) == count


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_line_that_misses_a_crossing_by_rounding_passes_through_it_and_is_reported(scale: float) -> None:
    """A distance below TOLERANCE and one above it, whatever the unit of length is."""
    box = tuple(scale * side for side in BOX)
    found = exact(lines((1, 0, 0), (0, 1, 0), (1, 1, 1e-10 * scale)), box)
    assert (len(found.regions), found.num_snapped > 0) == (6, True)
    apart = exact(lines((1, 0, 0), (0, 1, 0), (1, 1, 2e-8 * scale)), box)
    assert (len(apart.regions), apart.num_snapped) == (7, 0)


def test_dead_units_and_the_layers_after_them_cut_nothing() -> None:
    model = Mlp(2, 1, depth=2, width=3).double()
    with torch.no_grad():
        model.hidden[0].bias.fill_(-50)
    assert len(exact(model).regions) == 1


def test_moving_and_scaling_the_plane_moves_the_polygons() -> None:
    torch.manual_seed(5)
    model, moved = with_random_biases(Mlp(2, 1, depth=2, width=8)), with_random_biases(Mlp(2, 1, depth=2, width=8))
    moved.load_state_dict(model.state_dict())
    scale, shift = 3.0, torch.tensor([0.7, -0.2], dtype=torch.float64)
    with torch.no_grad():
        first = moved.hidden[0]  # type: ignore[index]
        first.bias -= first.weight @ shift / scale
        first.weight /= scale
    there = exact(moved, (-3 + 0.7, 3 + 0.7, -3 - 0.2, 3 - 0.2))
    here = exact(model)
    assert len(there.regions) == len(here.regions)
    areas = [sorted(region.area for region in found.regions) for found in (here, there)]
    np.testing.assert_allclose(np.array(areas[1]) / 9, areas[0], atol=1e-9)


def test_three_layers_of_twenty_units_are_mapped_in_seconds() -> None:
    torch.manual_seed(0)
    model = with_random_biases(Mlp(2, 1, depth=3, width=20, init="he"))
    # It takes about 0.25 s. A busy machine may exceed the limit twice.
    assert any(timeit.timeit(lambda: region_map(model, BOX), number=1) < 5 for _ in range(3))
    found = exact(model)
    side = torch.linspace(-1, 1, 400, dtype=torch.float64)
    seen = count_patterns(model, torch.cartesian_prod(side, side))
    assert 200 < seen <= len(found.regions) <= max_regions(2, [20, 20, 20])
    assert seen > 0.5 * len(found.regions)


@pytest.mark.parametrize(
    "model", [Shallow(1, 1), Shallow(2, 1, activation="tanh"), Mlp(2, 1, norm="layer"), Cnn((1, 8, 8), 1)]
)
def test_models_without_two_inputs_or_affine_relu_layers_give_none(model: nn.Module) -> None:
    assert region_map(model, BOX) is None


def test_a_network_with_too_many_regions_is_given_up_early() -> None:
    model = lines(*[(1, 0, 0.1 * place) for place in range(9)])
    found = region_map(model, BOX, limit=10)
    assert found is not None
    assert len(found.regions) == 10
    with pytest.raises(TooManyRegions, match="more than 9 activation patterns"):
        region_map(model, BOX, limit=9)


@pytest.mark.parametrize("width", [[250], [9, 250]])
def test_the_map_is_given_up_at_the_limit_of_cuts(width: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever layer exceeds the limit; before the first layer, the whole box is one polygon."""
    torch.manual_seed(0)
    model, cuts = with_random_biases(Mlp(2, 1, width=width)), []
    split = polygons._split
    monkeypatch.setattr(polygons, "_split", lambda *given: cuts.append(given[2]) or split(*given))
    with pytest.raises(TooManyRegions):
        region_map(model, BOX, limit=100)
    assert len(cuts) == 100


def test_a_box_without_an_inside_is_refused() -> None:
    with pytest.raises(ValueError, match=r"box=\(1, 1, 0, 2\) must be"):
        region_map(Shallow(2, 1), (1, 1, 0, 2))


@pytest.mark.parametrize("box", [(0, 2, 1, 1), (0, 2, 2, 1), (1, 0, 0, 2)])
def test_a_box_that_is_a_line_or_upside_down_is_refused_on_either_axis(box: Box) -> None:
    with pytest.raises(ValueError, match=r"box=\(.*\) must be x₁ from, to, x₂ from, to"):
        region_map(Shallow(2, 1), box)


def test_every_vertex_to_which_a_line_is_snapped_is_counted() -> None:
    """Up to rounding, x₁ = x₂ passes two corners of the box, and x₁ + x₂ + 2 = 0 touches one."""
    assert exact(lines((1, -1, 1e-13))).num_snapped == 2
    assert exact(lines((1, 1, 2 - 1e-13))).num_snapped == 1
    assert exact(lines((1, -1, 0))).num_snapped == 0
