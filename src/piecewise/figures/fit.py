"""A function of one input, its joints, and the data it was fitted to."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from piecewise.figures.style import BLUE, GREY, RED, style


def fitted_function(
    train_x: np.ndarray,
    train_y: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    joints: np.ndarray | None,
    y_label: str,
) -> Figure:
    """The function through (x, y), (P,) each, over the training examples; its joints, (J,), as dots."""
    with style():
        figure = Figure()
        axes = figure.add_subplot()
        axes.scatter(train_x, train_y, s=8, color=GREY, alpha=0.5, linewidths=0, label="training examples")
        axes.plot(x, y, color=BLUE, linewidth=1.8, label="network")
        title = "Fitted function"
        if joints is not None:
            if len(joints):
                axes.plot(joints, np.interp(joints, x, y), "o", color=RED, markersize=4, label="joints")
            title = f"Fitted function: {len(joints) + 1} linear region{'s' if len(joints) else ''}"
        axes.set(xlabel="x", ylabel=y_label, title=title)
        axes.legend()
        return figure
