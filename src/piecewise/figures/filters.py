"""What the first layer looks for."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from piecewise.figures.style import WIDTH, conclude, style

COLUMNS = 8


def first_layer(filters: np.ndarray) -> Figure:
    """The weights of each first-layer unit as an image, all on one scale around zero.  filters: (M, H, W)."""
    rows = -(-len(filters) // COLUMNS)
    largest = float(np.abs(filters).max()) or 1.0
    with style():
        figure = Figure(figsize=(WIDTH, 0.85 * rows + 0.8))
        grid = figure.subplots(rows, COLUMNS, squeeze=False).flat
        for axes in grid:
            axes.set_axis_off()
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.06, hspace=0.06)
        for axes, weights in zip(figure.axes, filters, strict=False):
            image = axes.imshow(weights, cmap="RdBu_r", vmin=-largest, vmax=largest)
        bar = figure.colorbar(image, ax=figure.axes, fraction=0.03, aspect=15)
        bar.outline.set_visible(False)
        height, width = filters.shape[1:]
        return conclude(figure, f"{len(filters)} first-layer units, the {height} × {width} weights of each")
