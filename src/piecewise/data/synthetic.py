"""One-dimensional data sets with known answers: each is y = f(x) + noise with everything about it written down."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from piecewise.data.chance import generator
from piecewise.data.spec import DataSpec, Examples, TargetKind
from piecewise.data.stored import Generated
from piecewise.errors import BadInput


class OneDimensional(Generated):
    """x uniform on [low, high], y drawn given x; train and test are independent draws under `seed`."""

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    def __init__(
        self, num_train: int, num_test: int, seed: int, folder: str | None = None, **parameters: float
    ) -> None:
        for key, count in (("num_train", num_train), ("num_test", num_test)):
            if count < 2:
                raise BadInput(f"data.{key}={count} must be at least 2")
        self.parameters = {"num_train": num_train, "num_test": num_test, "seed": seed, **parameters}
        self.folder = folder

    def spec(self) -> DataSpec:
        sizes = self.parameters["num_train"], self.parameters["num_test"]
        return DataSpec(self.name, (1,), frozenset({self.kind}), 1, None, *sizes)

    def generate(self, part: str) -> Examples:
        chance = generator(self.parameters["seed"], self.name, part)
        count = self.parameters[f"num_{part}"]
        x = self.low + (self.high - self.low) * torch.rand(count, 1, generator=chance, dtype=torch.float64)
        y = self.draw(x, chance)
        return Examples(x.float(), y.float())

    def draw(self, x: Tensor, chance: torch.Generator) -> Tensor:
        """y given x: f(x) plus normal noise with standard deviation `noise`.  x: (N, 1) → (N, 1)."""
        noise = torch.randn(x.shape, generator=chance, dtype=x.dtype)
        y: Tensor = self.mean(x) + self.parameters["noise"] * noise
        return y

    def mean(self, x: Tensor) -> Tensor:
        """f(x) = E[y | x].  x: (N, 1) → (N, 1)."""
        raise NotImplementedError


class Line(OneDimensional):
    """y = β₀ + β₁x + noise, x in [0, 2]  (UDL 2.2)."""

    name = "line"
    kind = TargetKind.REAL
    high = 2.0

    def __init__(
        self,
        num_train: int = 100,
        num_test: int = 1000,
        seed: int = 0,
        intercept: float = 0.5,
        slope: float = -0.8,
        noise: float = 0.2,
        folder: str | None = None,
    ) -> None:
        super().__init__(num_train, num_test, seed, folder, intercept=intercept, slope=slope, noise=noise)

    def mean(self, x: Tensor) -> Tensor:
        y: Tensor = self.parameters["intercept"] + self.parameters["slope"] * x
        return y


class Curve1d(OneDimensional):
    """y = exp(sin 4x) − 1 + noise on [−1, 1]: a smooth wave whose approximation by pieces can be seen."""

    name = "curve_1d"
    kind = TargetKind.REAL
    low = -1.0

    def __init__(
        self,
        num_train: int = 400,
        num_test: int = 1000,
        seed: int = 0,
        noise: float = 0.1,
        folder: str | None = None,
    ) -> None:
        super().__init__(num_train, num_test, seed, folder, noise=noise)

    def mean(self, x: Tensor) -> Tensor:
        return torch.exp(torch.sin(4 * x)) - 1


class Binary1d(OneDimensional):
    """y ∈ {0, 1} with Pr(y = 1 | x) = sig[sharpness · sin(2πx)], x in [0, 1]  (UDL 5.4)."""

    name = "binary_1d"
    kind = TargetKind.BINARY

    def __init__(
        self,
        num_train: int = 1000,
        num_test: int = 4000,
        seed: int = 0,
        sharpness: float = 4.0,
        folder: str | None = None,
    ) -> None:
        super().__init__(num_train, num_test, seed, folder, sharpness=sharpness)

    def draw(self, x: Tensor, chance: torch.Generator) -> Tensor:
        return (torch.rand(x.shape, generator=chance, dtype=x.dtype) < self.mean(x)).to(x.dtype)

    def mean(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.parameters["sharpness"] * torch.sin(2 * math.pi * x))
