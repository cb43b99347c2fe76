"""The activation patterns of a ReLU network with two inputs, exactly: convex polygons, no grid."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from piecewise.errors import Unavailable
from piecewise.theory.networks import Affine, Program, Step, linearised, relu_program

TOLERANCE = 1e-9  # relative to the box's diagonal: a line this close to a vertex passes through it

Box = tuple[float, float, float, float]  # x₁ from, to, x₂ from, to


@dataclass(frozen=True)
class Region:
    """A convex polygon with one activation pattern, on which the network is y = intercept + slope x.

    `vertices`: (V, 2) counter-clockwise; `slope`: (C, 2); `intercept`: (C,); `pattern`: (D_1 + … + D_K,) bool.
    """

    vertices: np.ndarray
    slope: Tensor
    intercept: Tensor
    pattern: Tensor

    @property
    def area(self) -> float:
        """The polygon's area, by the shoelace formula."""
        x, y = self.vertices.T
        return float(0.5 * (x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


@dataclass(frozen=True)
class RegionMap:
    """All regions within a box, one for each activation pattern. Neighbours with the same affine function form one
    linear region of the function (`pieces.py` counts these). `num_snapped` counts how often a line within TOLERANCE of
    a vertex was moved onto it, where three lines meet in one point or a line meets a corner of the box."""

    box: Box
    regions: list[Region]
    num_snapped: int


class TooManyRegions(Unavailable):
    """A network has more activation patterns than the caller's limit."""


@torch.no_grad()
def region_map(model: nn.Module, box: Box, limit: int | None = None) -> RegionMap | None:
    """The activation patterns of a ReLU network on `box`; None if the model is not a ReLU network with two inputs.

    Layer by layer, unit by unit: on a polygon a pre-activation is linear, and its zero line cuts the polygon in two.
    Computed in float64. Raises ValueError for an empty box, and TooManyRegions as soon as there are more than `limit`
    pieces.
    """
    if not (box[0] < box[1] and box[2] < box[3]):
        raise ValueError(f"box={box} must be x₁ from, to, x₂ from, to, each from below its to")
    program = relu_program(model)
    if program is None or not isinstance(program[0], Affine) or program[0].weight.shape[1] != 2:
        return None
    cutter = _Cutter(float(np.hypot(box[1] - box[0], box[3] - box[2])), limit)
    polygons = cutter.cut(program, np.array([[box[i], box[j]] for i, j in ((0, 2), (1, 2), (1, 3), (0, 3))]))
    centres = torch.from_numpy(np.stack([polygon.mean(axis=0) for polygon in polygons]))
    y, slope, pattern = linearised(program, centres)
    intercept = y - (slope @ centres.unsqueeze(2)).squeeze(2)
    regions = [Region(*parts) for parts in zip(polygons, slope, intercept, pattern, strict=True)]
    return RegionMap(box, regions, cutter.num_snapped)


class _Cutter:
    """Cuts polygons, which are arrays with a row per vertex: its position, then the network's values there.

    The values are linear on a polygon, so those of a new vertex are interpolated. NumPy is faster than torch for
    thousands of tiny arrays.
    """

    def __init__(self, diagonal: float, limit: int | None) -> None:
        self.reach = TOLERANCE * diagonal
        self.limit = limit
        self.num_snapped = 0

    def cut(self, program: Program, corners: np.ndarray) -> list[np.ndarray]:
        """The vertices (V, 2) of every polygon."""
        polygons = [(corners, corners)]  # (positions and saved values, h)
        for step in program:
            if isinstance(step, Affine):
                weight, bias = step.weight.numpy().T, step.bias.numpy()
                polygons = [(places, h @ weight + bias) for places, h in polygons]
            elif step is Step.SAVE:
                polygons = [(np.hstack([places, h]), h) for places, h in polygons]
            elif step is Step.ADD:
                polygons = [(p[:, : -h.shape[1]], h + p[:, -h.shape[1] :]) for p, h in polygons]
            else:
                polygons = self._by_layer(polygons)
        return [places[:, :2] for places, _ in polygons]

    def _by_layer(self, polygons: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Cut until no unit of the layer changes sign on a polygon, and replace pre-activations by activations."""
        todo, done = polygons[::-1], list[tuple[np.ndarray, np.ndarray]]()
        while todo:
            if self.limit is not None and len(todo) + len(done) > self.limit:
                raise TooManyRegions(f"more than {self.limit:,} activation patterns")
            places, z = todo.pop()
            z = self._snapped(places, z)
            crossing = np.flatnonzero((z.min(axis=0) < 0) & (z.max(axis=0) > 0))
            if len(crossing):
                todo += _split(places, z, crossing[0])
            else:
                done.append((places.copy(), np.maximum(z, 0)))  # a view would keep the pre-activations in memory
        return done

    def _snapped(self, places: np.ndarray, z: np.ndarray) -> np.ndarray:
        """z, set to zero at vertices that a unit's zero line passes within TOLERANCE.

        A unit that changes by r over a polygon of size s is zero at a distance of about |z| s / r.
        """
        change = z.max(axis=0) - z.min(axis=0)
        size = np.ptp(places[:, :2], axis=0).max()
        is_near = (np.abs(z) * size <= self.reach * change) & (z != 0)
        self.num_snapped += int(is_near.sum())
        return np.where(is_near, 0.0, z)


def _split(places: np.ndarray, z: np.ndarray, unit: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two parts of a polygon on either side of the line where `unit` is zero."""
    s, width = z[:, unit], places.shape[1]
    rows = np.hstack([places, z])
    after, s_after = np.roll(rows, -1, axis=0), np.roll(s, -1)
    cut = np.flatnonzero((s < 0) & (s_after > 0) | (s > 0) & (s_after < 0))
    share = (s[cut] / (s[cut] - s_after[cut]))[:, None]
    new = rows[cut] + share * (after[cut] - rows[cut])
    new[:, width + unit] = 0.0
    sides = []
    for is_inside in (s >= 0, s <= 0):
        kept = np.flatnonzero(is_inside)
        order = np.argsort(np.concatenate([2 * kept, 2 * cut + 1]))
        side = np.vstack([rows[kept], new])[order]
        sides.append((side[:, :width], side[:, width:]))
    return sides
