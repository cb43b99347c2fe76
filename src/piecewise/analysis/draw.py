"""Draw the figures of one evaluated run from its journal and its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file

from piecewise.durable import write_atomic
from piecewise.figures.classes import confusion_matrix, hardest_digits
from piecewise.figures.curves import learning_curves
from piecewise.figures.filters import first_layer
from piecewise.figures.fit import Truth, fitted_function
from piecewise.figures.plane import decision_map, polygon_map
from piecewise.figures.style import to_svg
from piecewise.figures.surface import loss_surface
from piecewise.figures.units import unit_by_unit
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arrays = dict[str, np.ndarray]


def draw_run(folder: RunFolder) -> list[str]:
    """Write every figure that the run has arrays for; returns their names, the most important first."""
    figures = of_arrays(load_file(folder.arrays)) if folder.arrays.is_file() else {}
    record = read_journal(folder.journal)
    if record is not None:
        selected = record.end.selected_step if record.end is not None else 0
        figures["learning_curves"] = learning_curves(record.history(), selected)
    for name, figure in figures.items():
        write_atomic(folder.figures / f"{name}.svg", to_svg(figure))
    return list(figures)


def of_arrays(arrays: Arrays) -> dict[str, Figure]:
    """The figures that can be drawn from these arrays, which `figure_arrays` names."""
    figures: dict[str, Figure] = {}
    if "function_x" in arrays:
        figures["fitted_function"] = _fitted_function(arrays)
    if "surface" in arrays:
        axes = arrays["surface_x"], arrays["surface_y"]
        names = ("β₀ (intercept)", "β₁ (slope)") if "surface_of_line" in arrays else ("φ₀", "φ₁")
        start, end = arrays["surface_ends"].tolist()
        figures["loss_surface"] = loss_surface(*axes, arrays["surface"], arrays["surface_path"], (start, end), names)
    if "units_x" in arrays:
        x, pre, act, weight = (arrays[f"units_{key}"] for key in ("x", "pre", "act", "weight"))
        figures["unit_by_unit"] = unit_by_unit(x, pre, act, weight, float(arrays["units_bias"][0]))
    if "plane_outputs" in arrays:
        figures |= _of_plane(arrays)
    if arrays["outputs"].ndim == 2 and arrays["targets"].ndim == 1:
        figures |= _of_classes(arrays)
    if "filters" in arrays:
        figures["first_layer"] = first_layer(arrays["filters"])
    return figures


def _fitted_function(arrays: Arrays) -> Figure:
    label, y = function_shown(arrays)
    targets = arrays["train_y"].reshape(len(arrays["train_y"]), -1)[:, 0]
    truth = Truth(arrays["truth_x"], arrays["truth_y"], float(arrays["noise"])) if "truth_x" in arrays else None
    function = arrays["function_x"], y
    band = (arrays["band_low"][:, 0], arrays["band_high"][:, 0]) if "band_low" in arrays else None
    return fitted_function((arrays["train_x"], targets), *function, arrays.get("joints"), truth, label, band)


def function_shown(arrays: Arrays) -> tuple[str, np.ndarray]:
    """The label of the y axis, and the function's values (N,)."""
    if "probability_y" in arrays:
        return "Pr(y = 1 | x)", arrays["probability_y"][:, 0]
    return "y", arrays["function_y"][:, 0]


def _of_plane(arrays: Arrays) -> dict[str, Figure]:
    outputs, ((left, right), (low, high)) = arrays["plane_outputs"], arrays["plane_extent"].tolist()
    extent = left, right, low, high
    figures = {}
    targets = arrays["train_y"].reshape(len(arrays["train_y"]), -1)[:, 0]
    if np.array_equal(targets, targets.round()):
        classes = outputs.argmax(axis=2) if outputs.shape[2] > 1 else (outputs[..., 0] > 0).astype(int)
        points = arrays["train_x"].reshape(-1, 2)
        figures["decision_map"] = decision_map(classes, extent, points, targets.astype(int))
    if "plane_corners" in arrays:
        polygons = np.split(arrays["plane_corners"], arrays["plane_num_corners"].cumsum()[:-1])
        figures["region_map"] = polygon_map(polygons, extent)
    return figures


def _of_classes(arrays: Arrays) -> dict[str, Figure]:
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
