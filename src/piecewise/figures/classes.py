"""What a classifier confuses."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from piecewise.figures.style import style


def confusion_matrix(counts: np.ndarray) -> Figure:
    """Examples by true class (rows) and predicted class (columns); colours show the mistakes.  counts: (C, C)."""
    right, total = int(np.trace(counts)), int(counts.sum())
    wrong = counts - np.diag(np.diag(counts))
    with style():
        figure = Figure(figsize=(4.8, 4.4))
        axes = figure.add_subplot()
        axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=max(1, wrong.max()))
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                dark = wrong[row, column] > 0.6 * max(1, wrong.max())
                colour = "white" if dark else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=colour)
        ticks = range(len(counts))
        axes.set(xticks=ticks, yticks=ticks, xlabel="predicted class", ylabel="true class")
        axes.set_title(f"{right:,} of {total:,} right ({100 * right / total:.2f} %)")
        axes.spines[:].set_visible(False)
        return figure


def hardest_digits(images: np.ndarray, true: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> Figure:
    """The most confidently wrong images with both classes and the probability given to the wrong one.

    images: (M, H, W) in [0, 1]; true, predicted, confidence: (M,).
    """
    columns = 6
    rows = max(1, -(-len(images) // columns))
    with style():
        figure = Figure(figsize=(6.4, 1.4 * rows + 0.4))
        for index, image in enumerate(images):
            axes = figure.add_subplot(rows, columns, index + 1)
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(f"{true[index]} as {predicted[index]}\n{100 * confidence[index]:.1f} %", fontsize=8)
            axes.set_axis_off()
        figure.suptitle(f"The {len(images)} most confidently wrong" if len(images) else "None wrong")
        return figure
