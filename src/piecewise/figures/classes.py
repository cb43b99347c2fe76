"""Figures of a classifier's mistakes."""

import numpy as np
from matplotlib.figure import Figure

from piecewise.figures.style import WIDTH, conclude, style


def confusion_matrix(counts: np.ndarray) -> Figure:
    """Examples by true class (rows) and predicted class (columns); the mistakes are coloured.  counts: (C, C)."""
    right, total = int(np.trace(counts)), int(counts.sum())
    wrong = counts - np.diag(np.diag(counts))
    with style():
        figure = Figure(figsize=(5.4, 5.2))
        axes = figure.add_subplot()
        axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=max(1, wrong.max()))
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                is_dark = wrong[row, column] > 0.6 * max(1, wrong.max())
                colour = "white" if is_dark else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8.5, color=colour)
        ticks = range(len(counts))
        axes.set(xticks=ticks, yticks=ticks, xlabel="predicted class", ylabel="true class")
        axes.spines[:].set_visible(False)
        return conclude(figure, f"{right:,} of {total:,} right ({100 * right / total:.2f} %){_worst(wrong)}")


def _worst(wrong: np.ndarray) -> str:
    if not wrong.any():
        return ""
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    return f"; most often {row} is taken for {column}"


def hardest_digits(images: np.ndarray, true: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> Figure:
    """The most confident mistakes: each image with its true class, the predicted class and its probability.

    images: (M, H, W) in [0, 1]; true, predicted, confidence: (M,).
    """
    columns = 4
    rows = max(1, -(-len(images) // columns))
    with style():
        figure = Figure(figsize=(WIDTH, 2.0 * rows + 0.5))
        for index, image in enumerate(images):
            axes = figure.add_subplot(rows, columns, index + 1)
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(f"{true[index]} taken for {predicted[index]}\n{100 * confidence[index]:.1f} %", fontsize=10)
            axes.set_axis_off()
        count = len(images)
        finding = f"The {count} digits that are most confidently wrong" if count else "No digit is wrong"
        return conclude(figure, finding)
