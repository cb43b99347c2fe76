from __future__ import annotations

import numpy as np
import pytest

from piecewise.figures import plane
from piecewise.figures.filters import first_layer
from piecewise.figures.plane import decision_map
from piecewise.figures.surface import loss_surface

EXTENT = (-1.0, 1.0, 0.0, 2.0)
HALVES = np.repeat([[0, 0, 1, 1]], 4, axis=0)


def test_points_are_drawn_by_class_over_the_map() -> None:
    points, targets = np.array([[-0.5, 1.0], [0.5, 1.5], [0.7, 0.1]]), np.array([0, 1, 1])
    (axes,) = decision_map(HALVES, EXTENT, points, targets).axes
    np.testing.assert_array_equal(axes.images[0].get_array(), HALVES)
    assert tuple(axes.images[0].get_extent()) == EXTENT
    assert [len(drawn.get_offsets()) for drawn in axes.collections] == [1, 2]
    assert axes.get_title(loc="left") == "2 classes are predicted in this part of the plane"


@pytest.mark.parametrize(
    ("count", "is_crowded", "finding"), [(1, False, "1 activation pattern"), (3, True, "3 activation patterns")]
)
def test_regions_are_the_polygons_given(
    count: int, is_crowded: bool, finding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plane, "MAX_VECTORS", 2)
    corners = [np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]) + shift for shift in range(count)]
    (axes,) = plane.polygon_map(corners, EXTENT).axes
    (drawn,) = axes.collections
    for path, polygon in zip(drawn.get_paths(), corners, strict=True):
        np.testing.assert_array_equal(path.vertices[:-1], polygon)
    assert len(np.unique(drawn.get_array())) == count
    assert drawn.get_rasterized() is is_crowded
    assert axes.get_title(loc="left") == finding


def test_the_path_lies_on_the_surface_from_its_start_to_its_end() -> None:
    axis = np.linspace(-1, 1, 21)
    losses = axis[None, :] ** 2 + axis[:, None] ** 2
    path = np.array([[0.9, 0.9], [0.3, 0.4], [0.0, 0.0]])
    figure = loss_surface(axis, axis, losses, path, (1.62, 0.0), ("a", "b"))
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), path)
    assert [line.get_xydata().tolist() for line in axes.lines[1:]] == [[[0.9, 0.9]], [[0.0, 0.0]]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "b")
    assert figure.get_label() == "The optimizer goes from 1.62 down to 0 nats"


@pytest.mark.parametrize(("count", "shape"), [(1, (3, 3)), (8, (3, 31)), (9, (7, 31))])
def test_filters_lie_side_by_side_on_one_scale_around_zero(count: int, shape: tuple[int, int]) -> None:
    filters = np.linspace(-2, 1, count * 9).reshape(count, 3, 3)
    figure = first_layer(filters)
    (image,) = figure.axes[0].images
    tiles = image.get_array()
    assert tiles.shape == shape
    assert np.isfinite(np.ma.filled(tiles, np.nan)).sum() == filters.size
    np.testing.assert_array_equal(tiles[:3, :3], filters[0])
    np.testing.assert_array_equal(tiles[-3:, 0:3] if count == 9 else tiles[:3, -3:], filters[-1])
    assert image.get_clim() == (-2.0, 2.0)
    assert figure.get_label() == f"{count} first-layer units, the 3 × 3 weights of each"


def test_classes_that_are_no_grid_are_refused() -> None:
    with pytest.raises((TypeError, ValueError, IndexError)):
        decision_map(np.arange(4), EXTENT, np.zeros((1, 2)), np.zeros(1))
