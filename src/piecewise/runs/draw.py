"""Draw the figures of one evaluated run from its journal and its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file

from piecewise.durable import write_atomic
from piecewise.figures.classes import confusion_matrix, hardest_digits
from piecewise.figures.curves import learning_curves
from piecewise.figures.fit import fitted_function
from piecewise.figures.style import to_svg
from piecewise.journal.folder import RunFolder
from piecewise.journal.reader import read_journal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_run(folder: RunFolder) -> list[str]:
    """Write every figure that fits the run; returns their names, the most telling first."""
    figures = _figures(folder)
    for name, figure in figures.items():
        write_atomic(folder.figures / f"{name}.svg", to_svg(figure))
    return list(figures)


def _figures(folder: RunFolder) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    if folder.arrays.is_file():
        arrays = load_file(folder.arrays)
        if "function_x" in arrays:
            figures["fitted_function"] = _fitted_function(arrays)
        elif arrays["outputs"].ndim == 2 and arrays["targets"].ndim == 1:
            figures |= _of_classes(arrays)
    record = read_journal(folder.journal)
    if record is not None:
        selected = (record.end or {}).get("selected_step", 0)
        figures["learning_curves"] = learning_curves(record.history(), selected)
    return figures


def _fitted_function(arrays: dict[str, np.ndarray]) -> Figure:
    label, key = ("Pr(y = 1 | x)", "probability_y") if "probability_y" in arrays else ("y", "function_y")
    x, y = arrays["function_x"], arrays[key][:, 0]
    targets = arrays["train_y"].reshape(len(arrays["train_y"]), -1)[:, 0]
    return fitted_function(arrays["train_x"], targets, x, y, arrays.get("joints"), label)


def _of_classes(arrays: dict[str, np.ndarray]) -> dict[str, Figure]:
    outputs, targets = arrays["outputs"].astype(np.float64), arrays["targets"]
    predicted = outputs.argmax(axis=1)
    counts = np.zeros((outputs.shape[1],) * 2, dtype=int)
    np.add.at(counts, (targets, predicted), 1)
    figures = {"confusion_matrix": confusion_matrix(counts)}
    if "hardest" in arrays:
        hardest = arrays["hardest"]
        odds = np.exp(outputs[hardest] - outputs[hardest].max(axis=1, keepdims=True))
        confidence = odds.max(axis=1) / odds.sum(axis=1)
        images = arrays["hardest_x"][:, 0]
        figures["hardest_digits"] = hardest_digits(images, targets[hardest], predicted[hardest], confidence)
    return figures
