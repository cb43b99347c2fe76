"""Maps of the plane for functions of two inputs."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from piecewise.figures.style import CYCLE, GROUND, INK, conclude, style

Extent = tuple[float, float, float, float]  # x₁ from, to, x₂ from, to
MAX_VECTORS = 3000  # polygons; more of them are drawn as pixels, because a viewer would be slow


def decision_map(classes: np.ndarray, extent: Extent, points: np.ndarray, targets: np.ndarray) -> Figure:
    """The class predicted at each point of a grid, and the examples.

    classes: (H, W) whole numbers, row 0 at the smallest x₂; points: (N, 2); targets: (N,).
    """
    count = int(max(classes.max(), targets.max())) + 1
    colours = [CYCLE[index % len(CYCLE)] for index in range(count)]
    with style():
        figure, axes = _square(extent)
        palette = ListedColormap(colours)
        axes.imshow(classes, extent=extent, origin="lower", cmap=palette, vmin=0, vmax=count - 1, alpha=0.35)
        _draw_borders(axes, classes, extent)
        for index, colour in enumerate(colours):
            own = points[targets == index]
            axes.scatter(own[:, 0], own[:, 1], s=14, color=colour, edgecolors=GROUND, linewidths=0.4)
        return conclude(figure, f"The plane is cut into {len(np.unique(classes))} classes", axes)


def polygon_map(polygons: list[np.ndarray], extent: Extent) -> Figure:
    """One polygon for each activation pattern of a ReLU network.  polygons: (V, 2) vertices each."""
    with style():
        figure, axes = _square(extent)
        shades = np.arange(len(polygons)) * 0.61803 % 1.0  # the golden ratio keeps neighbours apart on the scale
        drawn = PolyCollection(polygons, array=shades, cmap="cividis", edgecolors=INK, alpha=0.8)
        is_crowded = len(polygons) > MAX_VECTORS
        drawn.set(clim=(-0.3, 1.3), linewidth=0.1 if is_crowded else 0.5, rasterized=is_crowded)
        axes.add_collection(drawn)
        return conclude(figure, f"{len(polygons):,} activation pattern{'s' * (len(polygons) > 1)}", axes)


def _square(extent: Extent) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 5.0))
    axes = figure.add_subplot()
    axes.set(xlabel="x₁", ylabel="x₂", xlim=extent[:2], ylim=extent[2:])
    axes.set_aspect("auto")
    return figure, axes


def _draw_borders(axes: Axes, numbers: np.ndarray, extent: Extent) -> None:
    """Draw a line between neighbours on the grid that differ."""
    edges = np.zeros(numbers.shape)
    edges[:-1] += numbers[:-1] != numbers[1:]
    edges[:, :-1] += numbers[:, :-1] != numbers[:, 1:]
    mask = np.ma.masked_equal(np.minimum(edges, 1), 0)
    axes.imshow(mask, extent=extent, origin="lower", cmap=ListedColormap([INK]), aspect="auto")
