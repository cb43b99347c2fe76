"""Draw the figures of one evaluated run from its journal and its arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file

from piecewise.durable import read_json, write_atomic, write_json
from piecewise.extras import Extras
from piecewise.figures.classes import confusion_matrix, hardest_digits
from piecewise.figures.curves import learning_curves
from piecewise.figures.filters import first_layer
from piecewise.figures.fit import Truth, fitted_function
from piecewise.figures.plane import decision_map, polygon_map
from piecewise.figures.style import to_svg
from piecewise.figures.surface import loss_surface
from piecewise.figures.units import unit_by_unit
from piecewise.jobs.job import read_job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arrays = dict[str, np.ndarray]
Drawings = dict[str, "Callable[[], Figure]"]  # by the names of their files


def draw_run(folder: RunFolder) -> list[str]:
    """Write every figure that the run has arrays for; returns their names, the most important first.

    What cannot be drawn, or was left out when the run was evaluated, is listed in `left_out.json`.
    """
    extras = Extras(read_job(folder.job).title)
    drawings = extras.make("every figure of the model", lambda: _drawings_of(folder)) or {}
    drawings["learning_curves"] = lambda: _learning_curves(folder)
    written = write_figures(folder, drawings, extras)
    if folder.evaluated.is_file():
        extras.left_out |= read_json(folder.evaluated).get("left_out", {})
    write_left_out(folder, extras)
    return written


def write_figures(folder: RunFolder, drawings: Drawings, extras: Extras) -> list[str]:
    """Write each figure that can be drawn, and remove an older one that cannot; returns the names of those written."""
    written = []
    for name, draw in drawings.items():
        path = folder.figures / f"{name}.svg"
        svg = extras.make(name, partial(_as_svg, draw))
        if svg is None:
            path.unlink(missing_ok=True)
        else:
            write_atomic(path, svg)
            written.append(name)
    return written


def _as_svg(draw: Callable[[], Figure]) -> bytes:
    return to_svg(draw())


def write_left_out(folder: RunFolder, extras: Extras) -> None:
    if extras.left_out:
        write_json(folder.left_out, extras.left_out)
    else:
        folder.left_out.unlink(missing_ok=True)


def _drawings_of(folder: RunFolder) -> Drawings:
    return of_arrays(load_file(folder.arrays)) if folder.arrays.is_file() else {}


def _learning_curves(folder: RunFolder) -> Figure:
    record = read_journal(folder.journal)
    assert record is not None  # as for every run that was trained
    return learning_curves(record.history(), record.end.selected_step if record.end is not None else 0)


def of_arrays(arrays: Arrays) -> Drawings:
    """The figures that can be drawn from these arrays, which `figure_arrays` names; each with the function for it."""
    drawings: Drawings = {}
    if "function_x" in arrays:
        drawings["fitted_function"] = lambda: _fitted_function(arrays)
    if "surface" in arrays:
        drawings["loss_surface"] = lambda: _loss_surface(arrays)
    if "units_x" in arrays:
        drawings["unit_by_unit"] = lambda: _unit_by_unit(arrays)
    if "plane_outputs" in arrays:
        drawings["decision_map"] = lambda: _decision_map(arrays)
    if "plane_corners" in arrays:
        drawings["region_map"] = lambda: _region_map(arrays)
    if arrays["outputs"].ndim == 2 and arrays["targets"].ndim == 1:
        drawings["confusion_matrix"] = lambda: _confusion_matrix(arrays)
        if "hardest" in arrays:
            drawings["hardest_digits"] = lambda: _hardest_digits(arrays)
    if "filters" in arrays:
        drawings["first_layer"] = lambda: first_layer(arrays["filters"])
    return drawings


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


def _loss_surface(arrays: Arrays) -> Figure:
    axes = arrays["surface_x"], arrays["surface_y"]
    names = ("β₀ (intercept)", "β₁ (slope)") if "surface_of_line" in arrays else ("φ₀", "φ₁")
    start, end = arrays["surface_ends"].tolist()
    return loss_surface(*axes, arrays["surface"], arrays["surface_path"], (start, end), names)


def _unit_by_unit(arrays: Arrays) -> Figure:
    x, pre, act, weight = (arrays[f"units_{key}"] for key in ("x", "pre", "act", "weight"))
    return unit_by_unit(x, pre, act, weight, float(arrays["units_bias"][0]))


def _decision_map(arrays: Arrays) -> Figure:
    outputs = arrays["plane_outputs"]
    classes = outputs.argmax(axis=2) if outputs.shape[2] > 1 else (outputs[..., 0] > 0).astype(int)
    points, targets = arrays["train_x"].reshape(-1, 2), arrays["train_y"].reshape(len(arrays["train_y"]), -1)[:, 0]
    return decision_map(classes, _extent(arrays), points, targets.astype(int))


def _region_map(arrays: Arrays) -> Figure:
    polygons = np.split(arrays["plane_corners"], arrays["plane_num_corners"].cumsum()[:-1])
    return polygon_map(polygons, _extent(arrays))


def _extent(arrays: Arrays) -> tuple[float, float, float, float]:
    (left, right), (low, high) = arrays["plane_extent"].tolist()
    return left, right, low, high


def _confusion_matrix(arrays: Arrays) -> Figure:
    outputs = arrays["outputs"]
    counts = np.zeros((outputs.shape[1],) * 2, dtype=int)
    np.add.at(counts, (arrays["targets"], outputs.argmax(axis=1)), 1)
    return confusion_matrix(counts)


def _hardest_digits(arrays: Arrays) -> Figure:
    hardest = arrays["hardest"]
    outputs, images = arrays["outputs"][hardest].astype(np.float64), arrays["hardest_x"][:, 0]
    odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    confidence = odds.max(axis=1) / odds.sum(axis=1)
    return hardest_digits(images, arrays["targets"][hardest], outputs.argmax(axis=1), confidence)
