"""A shallow network, drawn unit by unit (UDL figure 3.3)."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from piecewise.figures.style import BLUE, CYCLE, GREY, WIDTH, conclude, style

ROWS = ("pre-activation", "activation", "weighted")


def unit_by_unit(
    x: np.ndarray, pre_activations: np.ndarray, activations: np.ndarray, weights: np.ndarray, bias: float
) -> Figure:
    """Each unit's pre-activation, activation a[·] and activation times φ_d; below them their sum plus φ₀.

    x: (P,); pre_activations, activations: (P, D); weights: (D,) the φ_d; bias: φ₀.
    """
    weighted = activations * weights
    num_units = len(weights)
    with style():
        figure = Figure(figsize=(max(WIDTH, 1.7 * num_units), 7.2))
        grid = figure.add_gridspec(4, num_units, height_ratios=(1, 1, 1, 1.6))
        for row, (name, values) in enumerate(zip(ROWS, (pre_activations, activations, weighted), strict=True)):
            for unit in range(num_units):
                axes = figure.add_subplot(grid[row, unit])
                _draw_unit(axes, x, values[:, unit], CYCLE[unit % len(CYCLE)])
                if row == 0:
                    axes.set_title(f"unit {unit + 1}", fontsize=10, loc="center")
                if unit == 0:
                    axes.set_ylabel(name, fontsize=10)
        axes = figure.add_subplot(grid[3, :])
        for unit in range(num_units):
            axes.plot(x, weighted[:, unit], color=CYCLE[unit % len(CYCLE)], linewidth=1, linestyle="--")
        axes.plot(x, weighted.sum(axis=1) + bias, color=BLUE, linewidth=2.4)
        axes.set(xlabel="x", ylabel="sum + φ₀", xlim=(x[0], x[-1]))
        bends = int(((pre_activations.min(axis=0) < 0) & (pre_activations.max(axis=0) > 0)).sum())
        return conclude(figure, f"{bends} of {num_units} units bend the sum where their pre-activation is zero")


def _draw_unit(axes: Axes, x: np.ndarray, values: np.ndarray, colour: str) -> None:
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.plot(x, values, color=colour)
    axes.tick_params(labelsize=8)
    axes.set_xlim(x[0], x[-1])
    axes.locator_params(nbins=3)
