"""A fitted function of one input: its joints and linear regions, the training data and the true function."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from piecewise.figures.style import BLUE, GREEN, GREY, RED, conclude, style

MAX_SHADED = 60  # with more joints, regions are too narrow to be shaded


@dataclass(frozen=True)
class Truth:
    """x: (P,), y: E[y | x] there, (P,), and the standard deviation of y around it."""

    x: np.ndarray
    y: np.ndarray
    noise: float = 0.0


def fitted_function(
    data: tuple[np.ndarray, np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    joints: np.ndarray | None = None,
    truth: Truth | None = None,
    y_label: str = "y",
    band: tuple[np.ndarray, np.ndarray] | None = None,
) -> Figure:
    """Draw the network's function and the training data.

    data: x and y of the training examples, (N,) each.  x, y: points of the function, (P,) each.  joints: (J,), or None
    for a smooth network.  band: lower and upper bounds of the predicted 95 % interval of y, (P,) each.
    """
    with style():
        figure = Figure()
        axes = figure.add_subplot()
        if joints is not None and 0 < len(joints) <= MAX_SHADED:
            shade_regions(axes, np.concatenate([x[:1], np.sort(joints), x[-1:]]))
        axes.scatter(*data, s=9, color=GREY, alpha=0.45, linewidths=0, label="training examples")
        if truth is not None:
            _draw_truth(axes, truth)
        if band is not None:
            axes.fill_between(x, *band, color=BLUE, alpha=0.15, linewidth=0, label="predicted 95 % interval")
        axes.plot(x, y, color=BLUE, linewidth=2.2, label="network")
        if joints is not None and len(joints):
            axes.plot(joints, np.interp(joints, x, y), "o", color=RED, markersize=5, label="joints")
        axes.set(xlabel="x", ylabel=y_label, xlim=(x[0], x[-1]))
        has_band = band is not None or (truth is not None and truth.noise > 0)  # its label needs a second row
        figure.legend(loc="outside lower center", ncols=3 if has_band else 4, fontsize=10)
        return conclude(figure, _finding(joints), axes)


def shade_regions(axes: Axes, edges: np.ndarray) -> None:
    """Shade the first, third, … of R linear regions, whose bounds are `edges`, (R + 1,)."""
    for left, right in zip(edges[:-1:2], edges[1::2], strict=False):
        axes.axvspan(left, right, color=GREY, alpha=0.13, linewidth=0)


def _draw_truth(axes: Axes, truth: Truth) -> None:
    axes.plot(truth.x, truth.y, color=GREEN, linestyle="--", linewidth=1.3, label="E[y | x]")
    if truth.noise:
        band = truth.y - truth.noise, truth.y + truth.noise
        axes.fill_between(truth.x, *band, color=GREEN, alpha=0.18, linewidth=0, label="± 1 standard deviation")


def _finding(joints: np.ndarray | None) -> str:
    if joints is None:
        return "The fitted function is a smooth curve"
    if not len(joints):
        return "The fitted function is one straight line"
    count = len(joints)
    return f"The fitted function has {count + 1} linear regions and {count} joint{'s' if count > 1 else ''}"
