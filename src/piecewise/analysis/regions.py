"""The linear regions of a run's model: a list, a count beside the largest possible one, and a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from piecewise.analysis.plane_arrays import MAX_REGIONS
from piecewise.analysis.trained import load_trained
from piecewise.data.stored import Generated
from piecewise.errors import BadInput
from piecewise.figures.fit import fitted_function
from piecewise.figures.plane import polygon_map
from piecewise.figures.ranges import span
from piecewise.figures.style import conclude
from piecewise.jobs.build import Parts
from piecewise.jobs.job import read_job
from piecewise.journal.run_folder import RunFolder
from piecewise.losses.squared_error import SquaredError
from piecewise.theory.bounds import max_regions
from piecewise.theory.joints import PiecewiseLinear, piecewise_linear
from piecewise.theory.networks import Affine, Step, relu_program
from piecewise.theory.pieces import count_pieces
from piecewise.theory.polygons import TooManyRegions, region_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Regions:
    """`summary` holds a line for each count. With one input `rows` has one row for each linear region, with two inputs
    one for each activation pattern. `draw` makes the figure."""

    summary: list[str]
    header: list[str]
    rows: list[list[str]]
    draw: Callable[[], Figure]


def regions_of_run(folder: RunFolder, bounds: Sequence[float] | None = None) -> Regions:
    """`bounds` are two numbers, from and to, for each input; the default is the range of the training examples.

    Raises BadInput unless the model is a ReLU network with one or two inputs, for bounds that do not fit it, and for a
    plane with more than MAX_REGIONS activation patterns.
    """
    job = read_job(folder.job)
    parts = load_trained(folder)
    parts.model.eval()
    count = parts.spec.num_inputs
    if count > 2 or relu_program(parts.model) is None:
        raise BadInput(
            f"{job.title} has {count} inputs and is a {type(parts.model).__name__}; regions are those of networks of "
            "linear layers and ReLU with one or two inputs"
        )
    train_x = parts.source.train(parts.loss.kind).x.flatten(1).double()
    if bounds is None:
        bounds = [bound for column in train_x.T for bound in span(float(column.min()), float(column.max()))]
    lows, highs = bounds[::2], bounds[1::2]
    if len(bounds) != 2 * count or not all(low < high for low, high in zip(lows, highs, strict=True)):
        given = " ".join(f"{value:g}" for value in bounds)
        raise BadInput(f"--range {given} must be from and to for each of {count} inputs, each from below its to")
    return _of_line(parts, *bounds) if count == 1 else _of_plane(parts, *bounds)


def _of_line(parts: Parts, low: float, high: float) -> Regions:
    found = piecewise_linear(parts.model, low, high)
    assert found is not None
    knots, values, slopes = found.knots.tolist(), found.values, found.slopes
    summary = [
        f"{len(slopes)} linear regions on [{low:g}, {high:g}]{_upper_bound(parts)}",
        f"{found.num_patterns} activation patterns",
        f"{found.num_merged} joints merged with a neighbour, {found.num_straightened} removed as rounding errors",
    ]
    rows = [
        [f"{knots[p]:.6g}", f"{knots[p + 1]:.6g}", _numbers(slopes[p]), _numbers(values[p] - slopes[p] * knots[p])]
        for p in range(len(slopes))
    ]
    return Regions(summary, ["from", "to", "slope", "intercept"], rows, lambda: _figure_of_line(parts, found))


def _figure_of_line(parts: Parts, found: PiecewiseLinear) -> Figure:
    slopes, values = found.slopes, found.values
    data, label = (np.zeros(0), np.zeros(0)), "output of the network"
    if isinstance(parts.loss, SquaredError):  # with other losses the output is a parameter of the distribution
        train = parts.source.train(parts.loss.kind)
        data = train.x.flatten().numpy(), train.y.reshape(len(train), -1)[:, 0].numpy()
        unit = parts.source.units[1] if isinstance(parts.source, Generated) else "1"
        label = "y" if unit == "1" else f"y ({unit})"
    function = found.knots.numpy(), values[:, 0].numpy()
    figure = fitted_function(data, *function, found.joints.numpy(), y_label=label)
    if values.shape[1] > 1:
        finding = f"{len(slopes)} linear regions of {values.shape[1]} outputs, of which the first is drawn"
        conclude(figure, finding, figure.axes[0])
    return figure


def _of_plane(parts: Parts, low1: float, high1: float, low2: float, high2: float) -> Regions:
    rectangle = f"[{low1:g}, {high1:g}] × [{low2:g}, {high2:g}]"
    try:
        found = region_map(parts.model, (low1, high1, low2, high2), MAX_REGIONS)
    except TooManyRegions as error:
        raise BadInput(f"there are {error} on {rectangle}; --range can name a smaller part of the plane") from error
    assert found is not None
    regions = sorted(found.regions, key=lambda region: -region.area)
    summary = [
        f"{count_pieces(found)} linear regions on {rectangle}",
        f"{len(regions)} activation patterns{_upper_bound(parts)}",
        f"{found.num_snapped} vertices snapped to a line, which they miss only by rounding",
    ]
    total = (high1 - low1) * (high2 - low2)
    rows = [
        [
            f"{region.area / total:.3%}",
            " ".join(f"({a:.4g}, {b:.4g})" for a, b in region.vertices),
            "; ".join(_numbers(slope) for slope in region.slope),
            _numbers(region.intercept),
        ]
        for region in regions
    ]
    polygons, box = [region.vertices for region in found.regions], found.box
    return Regions(summary, ["area", "vertices", "slope", "intercept"], rows, lambda: polygon_map(polygons, box))


def _upper_bound(parts: Parts) -> str:
    """The largest possible number of regions, for networks that a formula covers."""
    program = relu_program(parts.model) or []
    widths = [len(step.bias) for step in program if isinstance(step, Affine)][:-1]
    # The formula does not cover residual paths and norms.
    if Step.SAVE in program or len(widths) != program.count(Step.RELU):
        return ""
    return f" of at most {max_regions(parts.spec.num_inputs, widths):,}"


def _numbers(values: Tensor) -> str:
    return ", ".join(f"{value:.6g}" for value in values.tolist())
