"""Figures of the input plane, for functions of two inputs."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from piecewise.figures.style import CYCLE, GROUND, INK, conclude, style

Extent = tuple[float, float, float, float]  # smallest x₁, largest x₁, smallest x₂, largest x₂
MAX_VECTORS = 3000  # if there are more polygons, all are drawn as pixels: SVG viewers would be slow


def decision_map(classes: np.ndarray, extent: Extent, points: np.ndarray, targets: np.ndarray) -> Figure:
    """Draw the predicted class at each point of a grid, and the examples with their true classes.

    classes: (H, W) whole numbers, row 0 at the smallest x₂.  points: (N, 2).  targets: (N,).
    """
    count = int(max(classes.max(), targets.max())) + 1
    colours = [CYCLE[index % len(CYCLE)] for index in range(count)]
    with style():
        figure, axes = _plane_axes(extent)
        palette = ListedColormap(colours)
        axes.imshow(classes, extent=extent, origin="lower", cmap=palette, vmin=0, vmax=count - 1, alpha=0.35)
        _draw_borders(axes, classes, extent)
        for index, colour in enumerate(colours):
            own = points[targets == index]
            axes.scatter(own[:, 0], own[:, 1], s=14, color=colour, edgecolors=GROUND, linewidths=0.4)
        return conclude(figure, f"{len(np.unique(classes))} classes are predicted in this part of the plane", axes)


def polygon_map(polygons: list[np.ndarray], extent: Extent) -> Figure:
    """Draw a polygon for each activation pattern.  polygons: arrays of V vertices, (V, 2), where V varies."""
    with style():
        figure, axes = _plane_axes(extent)
        shades = (
            np.arange(len(polygons)) * 0.61803 % 1.0
        )  # steps of the golden ratio give neighbours in the list different colours
        drawn = PolyCollection(polygons, array=shades, cmap="cividis", edgecolors=INK, alpha=0.8)
        is_crowded = len(polygons) > MAX_VECTORS
        drawn.set(clim=(-0.3, 1.3), linewidth=0.1 if is_crowded else 0.5, rasterized=is_crowded)
        axes.add_collection(drawn)
        return conclude(figure, f"{len(polygons):,} activation pattern{'s' * (len(polygons) > 1)}", axes)


def _plane_axes(extent: Extent) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 5.0))
    axes = figure.add_subplot()
    axes.set(xlabel="x₁", ylabel="x₂", xlim=extent[:2], ylim=extent[2:])
    axes.set_aspect("auto")
    return figure, axes


def _draw_borders(axes: Axes, numbers: np.ndarray, extent: Extent) -> None:
    """Colour each grid cell whose upper or right neighbour has another class."""
    edges = np.zeros(numbers.shape)
    edges[:-1] += numbers[:-1] != numbers[1:]
    edges[:, :-1] += numbers[:, :-1] != numbers[:, 1:]
    mask = np.ma.masked_equal(np.minimum(edges, 1), 0)
    axes.imshow(mask, extent=extent, origin="lower", cmap=ListedColormap([INK]), aspect="auto")
