"""A metric over the keys that a sweep varied."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from piecewise.figures.style import CYCLE, WIDTH, conclude, style

Point = tuple[float | str, Sequence[float]]  # a value of the axis, and the metric of each seed


def metric_over_axis(axis: str, metric: str, lines: dict[str, list[Point]]) -> Figure:
    """The mean of a metric over one axis: a line per label, and a band from its lowest to its highest value."""
    with style():
        figure = Figure()
        axes = figure.add_subplot()
        positions, ticks = _positions([value for points in lines.values() for value, _ in points])
        for (label, points), colour in zip(lines.items(), CYCLE * len(lines), strict=False):
            x = [positions[value] for value, _ in points]
            means = [float(np.mean(values)) for _, values in points]
            axes.fill_between(
                x, [min(v) for _, v in points], [max(v) for _, v in points], color=colour, alpha=0.2, linewidth=0
            )
            axes.plot(x, means, "o-", color=colour, label=label)
        axes.set(xlabel=axis, ylabel=metric)
        if ticks is not None:
            axes.set_xticks(range(len(ticks)), ticks)
        elif min(positions.values()) > 0 and max(positions.values()) > 20 * min(positions.values()):
            axes.set_xscale("log")
        if len(lines) > 1:
            axes.legend()
        return conclude(figure, _finding(axis, metric, lines), axes)


def heat_map(axes_names: tuple[str, str], metric: str, means: dict[tuple[str, str], float]) -> Figure:
    """The mean of a metric over two axes, rows and columns. A cell without a run is empty."""
    rows, columns = (list(dict.fromkeys(key[index] for key in means)) for index in (0, 1))
    grid = np.full((len(rows), len(columns)), np.nan)
    for (row, column), mean in means.items():
        grid[rows.index(row), columns.index(column)] = mean
    with style():
        figure = Figure(figsize=(max(WIDTH, 1.6 + 0.9 * len(columns)), 1.4 + 0.6 * len(rows)))
        axes = figure.add_subplot()
        axes.imshow(grid, cmap="cividis", aspect="auto")
        middle = (np.nanmin(grid) + np.nanmax(grid)) / 2
        for row, column in np.argwhere(~np.isnan(grid)):
            value = grid[row, column]
            axes.text(
                column, row, f"{value:.3g}", ha="center", va="center", color="white" if value < middle else "black"
            )
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.set(ylabel=axes_names[0], xlabel=axes_names[1])
        axes.spines[:].set_visible(False)
        low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
        return conclude(
            figure, f"{metric} from {means[low]:.3g} ({', '.join(low)}) to {means[high]:.3g} ({', '.join(high)})", axes
        )


def _positions(values: list[float | str]) -> tuple[dict[float | str, float], list[str] | None]:
    """The position of each value on the axis; also tick labels, unless all values are numbers."""
    if all(isinstance(value, int | float) for value in values):
        return {value: float(value) for value in values}, None
    words = list(dict.fromkeys(values))
    return {word: float(position) for position, word in enumerate(words)}, [str(word) for word in words]


def _finding(axis: str, metric: str, lines: dict[str, list[Point]]) -> str:
    means = [(float(np.mean(values)), value) for points in lines.values() for value, values in points]
    (low, at_low), (high, at_high) = min(means, key=lambda m: m[0]), max(means, key=lambda m: m[0])
    at_low, at_high = (f"{value:g}" if isinstance(value, float) else value for value in (at_low, at_high))
    return f"{metric} is {low:.3g} at {axis} {at_low}, and {high:.3g} at {at_high}"
