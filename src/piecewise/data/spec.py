"""What a data set is: its facts, known before it is read, and its examples."""

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
    PROPORTION = "proportion"  # y: (N, C), between 0 and 1, neither of them
    ANGLE = "angle"  # y: (N, C) radians
    COUNT = "count"  # y: (N, C) whole numbers from 0
    RANKING = "ranking"  # y: (N, C) the numbers of C items, best first


# Where the targets of a kind lie; how many classes, or items, there are is for a data set to say.
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
    """The facts of a data set that models, losses and checks need; nothing here is typed into a configuration."""

    name: str
    input_shape: tuple[int, ...]  # of one example
    kinds: frozenset[TargetKind]  # every way the targets can be read
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
    """A data configuration, ready to be asked for its facts and its examples.

    `train` and `test` verify the bytes they read; `digest` names the content of the part ("train" or "test");
    `inputs` reads examples without targets from a file, (N, *input_shape), prepared as those of `train` are.
    """

    def spec(self) -> DataSpec: ...
    def train(self, kind: TargetKind) -> Examples: ...
    def test(self, kind: TargetKind) -> Examples: ...
    def digest(self, part: str) -> str: ...
    def inputs(self, path: Path) -> Tensor: ...
