"""The loss over two parameters, and the path of an optimizer."""

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from piecewise.figures.style import GROUND, ORANGE, RED, conclude, style

LEVELS = 24


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
    """
    with style():
        figure = Figure(figsize=(6.0, 4.6))
        axes = figure.add_subplot()
        low, high = float(losses.min()), float(losses.max())
        # Levels at equal ratios above the minimum show the flat bottom of a valley. Levels at equal steps would not.
        floor = max((high - low) * 1e-4, 1e-12)
        levels = low - floor + np.geomspace(floor * 1.01, high - low + floor, LEVELS)
        norm: Normalize = LogNorm(floor, high - low + floor)
        filled = axes.contourf(
            first, second, losses - low + floor, levels=levels - low + floor, norm=norm, cmap="cividis"
        )
        axes.plot(*path.T, color=ORANGE, marker=".", markersize=4, linewidth=1.2)
        axes.plot(*path[0], "o", markersize=9, markerfacecolor="none", markeredgecolor=GROUND, markeredgewidth=1.6)
        axes.plot(*path[-1], "o", markersize=7, color=RED, markeredgecolor=GROUND)
        bar = figure.colorbar(filled, ax=axes, label="nats above the lowest", format="%.2g")
        bar.outline.set_visible(False)
        axes.set(xlabel=names[0], ylabel=names[1])
        start, end = ends
        return conclude(figure, f"The optimizer goes from {start:.4g} down to {end:.4g} nats", axes)
