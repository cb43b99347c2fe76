"""The facts of a data set, and its examples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from torch import Tensor


class TargetKind(StrEnum):
    """The kinds of target a loss can fit."""

    REAL = "real"  # y: (N, C) real numbers
    BINARY = "binary"  # y: (N, 1), each 0 or 1
    CLASS = "class"  # y: (N,) whole numbers 0 … C − 1
    POSITIVE = "positive"  # y: (N, C), above 0
    PROPORTION = "proportion"  # y: (N, C), above 0 and below 1
    ANGLE = "angle"  # y: (N, C) radians
    COUNT = "count"  # y: (N, C) whole numbers, at least 0
    RANKING = "ranking"  # y: (N, C) the indices of C items, best first


# The range of each kind of target. The range of classes and rankings depends on the data set.
TARGET_RANGES: dict[TargetKind, tuple[float, float]] = {
    TargetKind.REAL: (-math.inf, math.inf),
    TargetKind.BINARY: (0, 1),
    TargetKind.POSITIVE: (0, math.inf),
    TargetKind.PROPORTION: (0, 1),
    TargetKind.ANGLE: (-math.pi, math.pi),
    TargetKind.COUNT: (0, math.inf),
}


@dataclass(frozen=True)
class DataSpec:
    """The facts of a data set that models, losses and checks need. They are derived, never configured."""

    name: str
    input_shape: tuple[int, ...]  # of one example
    kinds: frozenset[TargetKind]  # every kind that the targets can be read as
    num_targets: int  # C numbers per example; 1 for binary and class
    num_classes: int | None  # for class targets
    num_train: int  # examples before the validation split
    num_test: int

    @property
    def num_inputs(self) -> int:
        """D_i: numbers per example."""
        return math.prod(self.input_shape)


@dataclass(frozen=True)
class Examples:
    """x: (N, *input_shape) float32;   y: (N, C) float32, or (N,) int64 for classes."""

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"x holds {len(self.x)} examples but y holds {len(self.y)}")

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> Examples:
        return Examples(self.x[index], self.y[index])


class DataSource(Protocol):
    """A data set, built from its configuration.

    `train` and `test` verify the bytes they read. `digest` identifies the content of the part "train" or "test".
    `inputs` reads examples without targets from a file, (N, *input_shape), and prepares them like those of `train`.
    """

    def spec(self) -> DataSpec: ...
    def train(self, kind: TargetKind) -> Examples: ...
    def test(self, kind: TargetKind) -> Examples: ...
    def digest(self, part: str) -> str: ...
    def inputs(self, path: Path) -> Tensor: ...
