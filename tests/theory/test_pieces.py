"""Linear regions of the plane: neighbouring activation patterns with one affine function are one region."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import label
from torch import nn

from piecewise.models.mlp import Mlp
from piecewise.models.shallow import Shallow
from piecewise.theory.pieces import _neighbours, count_pieces
from piecewise.theory.polygons import Box, RegionMap, region_map
from theory.test_polygons import BOX, exact, models, with_random_biases


def folded() -> Mlp:
    """y = a[|x₁| + |x₂| − ½]: four flanks around a square in which it is zero, of eight patterns.

    Folding multiplies regions: one line in the fold is four in the plane.
    """
    model = Mlp(2, 1, width=[4, 1]).double()
    with torch.no_grad():
        model.hidden[0].weight.copy_(torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]))
        model.hidden[0].bias.zero_()
        model.hidden[1].weight.fill_(1.0)
        model.hidden[1].bias.fill_(-0.5)
    return model


def test_patterns_that_a_later_layer_switches_off_are_one_region() -> None:
    found = exact(folded())
    assert (len(found.regions), count_pieces(found)) == (8, 5)


@pytest.mark.parametrize("size", [1.0, 1e-10])
def test_a_unit_without_weight_bends_nothing_and_one_with_little_weight_does(size: float) -> None:
    """Three lines in general position: seven patterns, of which the first unit separates two."""
    model = Shallow(2, 2, width=3).double()
    with torch.no_grad():
        model.hidden.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        model.hidden.bias.copy_(torch.tensor([0.0, 0.0, -0.5]))
        model.output.weight.zero_()
    assert count_pieces(exact(model)) == 1
    model.output.weight.data[1, 0] = size
    assert count_pieces(exact(model)) == 2
    model.output.weight.data[0] = torch.tensor([0.0, 1.0, -1.0])
    assert count_pieces(exact(model)) == 7


@pytest.mark.parametrize("seed", [6, 15, 16, 23])
def test_regions_are_the_islands_of_equal_gradient_on_a_grid(seed: int) -> None:
    """Brute force by autograd on a grid of 300 × 300, which may miss the smallest regions."""
    torch.manual_seed(seed)
    model = with_random_biases(Mlp(2, 1, width=[5, 3, 2]))
    side = (torch.arange(300, dtype=torch.float64) + 0.5) / 150 - 1
    x = torch.cartesian_prod(side, side).requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).sum(), x)
    kinds = torch.unique(gradient.round(decimals=9), dim=0, return_inverse=True)[1].reshape(300, 300).numpy()
    islands = sum(label(kinds == kind, np.ones((3, 3)))[1] for kind in range(kinds.max() + 1))
    found = exact(model)
    small = sum(region.area < 1e-3 for region in found.regions)
    assert count_pieces(found) - small <= islands <= count_pieces(found)
    assert count_pieces(found) < len(found.regions)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", range(4))
def test_every_edge_is_shared_by_two_or_lies_on_the_box(seed: int, kind: int) -> None:
    found = exact(models(seed)[kind])
    edges = sum(len(region.vertices) for region in found.regions)
    assert edges == 2 * len(_neighbours(found)) + _on_the_box(found, BOX)


def _on_the_box(found: RegionMap, box: Box) -> int:
    count = 0
    for region in found.regions:
        ends = np.stack([region.vertices, np.roll(region.vertices, -1, axis=0)])  # (2, V, 2)
        for axis, value in ((0, box[0]), (0, box[1]), (1, box[2]), (1, box[3])):
            count += int((np.abs(ends[:, :, axis] - value) < 1e-12).all(axis=0).sum())
    return count


def test_patterns_that_do_not_reach_the_output_are_one_region() -> None:
    torch.manual_seed(0)
    model = with_random_biases(Shallow(2, 1, width=60))
    nn.init.zeros_(model.output.weight)  # type: ignore[union-attr]
    found = region_map(model, BOX)
    assert found is not None
    assert (len(found.regions) > 500, count_pieces(found)) == (True, 1)


@pytest.mark.parametrize("exponent", [-50, 50])
def test_the_unit_of_the_plane_does_not_change_the_number_of_regions(exponent: int) -> None:
    """Three stripes with slopes 0, 1, 0: the outer two have no edge in common, however small the plane is."""
    unit = 2.0**exponent
    model = Shallow(2, 1, width=2).double()
    with torch.no_grad():
        model.hidden.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        model.hidden.bias.copy_(torch.tensor([0.25, -0.25], dtype=torch.float64) * unit)
        model.output.weight.copy_(torch.tensor([[1.0, -1.0]]))
    found = exact(model, (-unit, unit, -unit, unit))
    assert (len(found.regions), count_pieces(found)) == (3, 3)


def test_an_output_of_the_size_of_anothers_rounding_keeps_its_pieces() -> None:
    """y₁ bends at x₁ = 0 by 1, y₂ at x₂ = 0 by 1e-20: four quarters."""
    model = Shallow(2, 2, width=2).double()
    with torch.no_grad():
        model.hidden.weight.copy_(torch.eye(2))
        model.hidden.bias.zero_()
        model.output.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1e-20]], dtype=torch.float64))
    assert count_pieces(exact(model)) == 4
