"""The loss over two parameters, and the path of an optimizer."""

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from piecewise.errors import Unavailable
from piecewise.figures.style import GROUND, ORANGE, RED, conclude, style

LEVELS = 24
FLOOR = 1e-4  # of the surface's height: differences below it are not shown


def loss_surface(
    first: np.ndarray,
    second: np.ndarray,
    losses: np.ndarray,
    path: np.ndarray,
    ends: tuple[float, float],
    names: tuple[str, str],
) -> Figure:
    """Contours of the loss over a grid of two parameters, with the path from its start (ring) to its end (dot).

    first: (W,), second: (H,) the axes of the grid; losses: (H, W) in nats; path: (T, 2); ends: the losses at its ends.
    Raises Unavailable for a surface that is flat or not finite.
    """
    low = float(losses.min())
    height = float(losses.max()) - low
    if not 0 < height < np.inf:
        raise Unavailable("the loss is not finite, or the same everywhere, around the path of the parameters")
    with style():
        figure = Figure(figsize=(6.0, 4.6))
        axes = figure.add_subplot()
        # Levels at equal ratios above the minimum show the flat bottom of a valley. Levels at equal steps would not.
        floor = FLOOR * height
        levels = np.geomspace(floor * 1.01, height + floor, LEVELS)
        norm: Normalize = LogNorm(floor, height + floor)
        filled = axes.contourf(first, second, losses - low + floor, levels=levels, norm=norm, cmap="cividis")
        axes.plot(*path.T, color=ORANGE, marker=".", markersize=4, linewidth=1.2)
        axes.plot(*path[0], "o", markersize=9, markerfacecolor="none", markeredgecolor=GROUND, markeredgewidth=1.6)
        axes.plot(*path[-1], "o", markersize=7, color=RED, markeredgecolor=GROUND)
        bar = figure.colorbar(filled, ax=axes, label="nats above the lowest", format="%.2g")
        bar.outline.set_visible(False)
        axes.set(xlabel=names[0], ylabel=names[1])
        start, end = ends
        return conclude(figure, f"The optimizer goes from {start:.4g} down to {end:.4g} nats", axes)
