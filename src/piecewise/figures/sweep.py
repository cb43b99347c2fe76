"""A metric over the keys that a sweep varied."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from piecewise.figures.style import CYCLE, WIDTH, conclude, style

MAX_PANELS, PANELS_IN_ROW = 6, 3
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
        _scale(axes, positions, ticks)
        if len(lines) > 1:
            axes.legend()
        return conclude(figure, _finding(axis, metric, lines), axes)


def heat_map(axes_names: tuple[str, str], metric: str, means: dict[tuple[str, str], float]) -> Figure:
    """The mean of a metric over two axes, rows and columns. A cell without a run is empty."""
    rows, columns = (list(dict.fromkeys(key[index] for key in means)) for index in (0, 1))
    grid = np.full((len(rows), len(columns)), np.nan)
    row_of, column_of = ({name: place for place, name in enumerate(names)} for names in (rows, columns))
    for (row, column), mean in means.items():
        grid[row_of[row], column_of[column]] = mean
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


def metric_over_axes(
    names: Sequence[str], metric: str, points: Sequence[tuple[Sequence[float | str], float]]
) -> Figure:
    """A metric over each of several axes: a panel for each, those first along which the metric changes most.

    Each of `points` has a value for every axis, and the metric, which is a dot in each panel. The line is the mean over
    all points with the same value; an axis on which no value occurs twice has no line.
    """
    panels = {name: [(values[index], mean) for values, mean in points] for index, name in enumerate(names)}
    means = {name: _means(pairs) for name, pairs in panels.items()}
    shown = sorted(names, key=lambda name: min(means[name].values()) - max(means[name].values()))[:MAX_PANELS]
    with style():
        num_rows = -(-len(shown) // PANELS_IN_ROW)
        figure = Figure(figsize=(WIDTH, 0.6 + 2.4 * num_rows))
        grid = figure.subplots(num_rows, min(len(shown), PANELS_IN_ROW), sharey=True, squeeze=False).flatten()
        for axes, name in zip(grid, shown, strict=False):
            positions, ticks = _positions([value for value, _ in panels[name]])
            x = [positions[value] for value, _ in panels[name]]
            axes.plot(x, [mean for _, mean in panels[name]], ".", color=CYCLE[0], alpha=0.4)
            if len(means[name]) < len(points):
                line = sorted((positions[value], mean) for value, mean in means[name].items())
                axes.plot(*zip(*line, strict=True), "o-", color=CYCLE[1])
            axes.set_xlabel(name)
            _scale(axes, positions, ticks)
        for axes in grid[::PANELS_IN_ROW]:
            axes.set_ylabel(metric)
        for axes in grid[len(shown) :]:
            axes.remove()
        (at_low, low), *_, (at_high, high) = sorted(points, key=lambda point: point[1])
        return conclude(figure, f"{metric} from {low:.3g} ({_text(at_low)}) to {high:.3g} ({_text(at_high)})")


def _means(pairs: Sequence[tuple[float | str, float]]) -> dict[float | str, float]:
    found: dict[float | str, list[float]] = {}
    for value, mean in pairs:
        found.setdefault(value, []).append(mean)
    return {value: fmean(several) for value, several in found.items()}


def _scale(axes: Axes, positions: dict[float | str, float], ticks: list[str] | None) -> None:
    """Ticks for words; a logarithmic scale for positive numbers far apart."""
    if ticks is not None:
        axes.set_xticks(range(len(ticks)), ticks)
    elif min(positions.values()) > 0 and max(positions.values()) > 20 * min(positions.values()):
        axes.set_xscale("log")


def _text(values: Sequence[float | str]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else value for value in values)


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
