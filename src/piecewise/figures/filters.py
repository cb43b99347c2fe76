"""The weights of the first layer."""

import numpy as np
from matplotlib.figure import Figure

from piecewise.figures.style import WIDTH, conclude, style

COLUMNS = 8


def first_layer(filters: np.ndarray) -> Figure:
    """The weights of each first-layer unit as an image, all on one scale around zero.  filters: (M, H, W)."""
    tiles = _mosaic(filters)
    largest = float(np.abs(filters).max()) or 1.0
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + WIDTH * 0.85 * tiles.shape[0] / tiles.shape[1]))
        axes = figure.add_subplot()
        axes.set_axis_off()
        image = axes.imshow(tiles, cmap="RdBu_r", vmin=-largest, vmax=largest)
        bar = figure.colorbar(image, ax=axes, fraction=0.03, aspect=15, shrink=0.9)
        bar.outline.set_visible(False)
        height, width = filters.shape[1:]
        return conclude(figure, f"{len(filters)} first-layer units, the {height} × {width} weights of each")


def _mosaic(filters: np.ndarray) -> np.ndarray:
    """The filters in rows of COLUMNS, separated by empty lines."""
    count, height, width = filters.shape
    columns = min(COLUMNS, count)
    tiles = np.full((-(-count // columns) * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for index, weights in enumerate(filters):
        row, column = (index // columns) * (height + 1), (index % columns) * (width + 1)
        tiles[row : row + height, column : column + width] = weights
    return tiles
