"""Data sets with known answers: x is uniform, and y has a known distribution given x.

A fit is judged by E[y | x], and by the least negative log-likelihood that its loss can reach (`theory/floor.py`).
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from piecewise.data.randomness import derive_seed, generator
from piecewise.data.spec import DataSpec, Examples, TargetKind
from piecewise.data.stored import Generated
from piecewise.errors import BadInput


@dataclass(frozen=True)
class Synthetic(Generated):
    """x uniform on [low, high] in each input, y ~ Pr(y | x); train and test are independent draws under `seed`."""

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0
    num_inputs: ClassVar[int] = 1
    num_targets: ClassVar[int] = 1
    num_classes: ClassVar[int | None] = None
    num_points: ClassVar[int] = 4001  # of the midpoint rule over x

    positive: ClassVar[tuple[str, ...]] = ()  # the parameters that must be above 0

    num_train: int = 1000
    num_test: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        for key, value in self.parameters.items():
            if key in self.positive and not value > 0:
                raise BadInput(f"data.{key}={value} must be positive")
            if key in ("num_train", "num_test") and value < 2:
                raise BadInput(f"data.{key}={value} must be at least 2")
            if isinstance(value, float) and not math.isfinite(value):
                raise BadInput(f"data.{key}={value} must be a finite number")

    def spec(self) -> DataSpec:
        kinds = frozenset({self.kind, *OTHER_KINDS.get(self.kind, ())})
        sizes = self.num_train, self.num_test
        return DataSpec(self.name, (self.num_inputs,), kinds, self.num_targets, self.num_classes, *sizes)

    def generate(self, part: str) -> Examples:
        rng = generator(self.seed, self.name, part)
        shape = self.parameters[f"num_{part}"], self.num_inputs
        x = self.low + (self.high - self.low) * torch.rand(shape, generator=rng, dtype=torch.float64)
        y = self.draw(x, rng)
        return Examples(x.float(), y.float() if y.is_floating_point() else y)

    def draw(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """y given x.  x: (N, D_i) → (N, C), or (N,) for classes."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, self.name, rng.initial_seed()))
            return self.given(x).sample()

    def given(self, x: Tensor) -> Distribution:
        """Pr(y | x), one distribution for each target.  x: (N, D_i) float64."""
        raise NotImplementedError

    def mean(self, x: Tensor) -> Tensor:
        """E[y | x].  x: (N, D_i) → (N, C)."""
        return self.given(x).mean

    def entropy(self, x: Tensor) -> Tensor:
        """−E[log Pr(y | x)] of each example, in nats.  x: (N, D_i) → (N,)."""
        entropy: Any = self.given(x).entropy()
        return entropy.reshape(len(x), -1).sum(dim=1)  # type: ignore[no-any-return]

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Inputs (M, D_i) and weights (M,) whose weighted sum of f(x) is the mean of f over the inputs."""
        count = self.num_points if self.num_inputs == 1 else math.isqrt(self.num_points)
        side = self.low + (self.high - self.low) * (torch.arange(count, dtype=torch.float64) + 0.5) / count
        grid = torch.cartesian_prod(*[side] * self.num_inputs).reshape(-1, self.num_inputs)
        return grid, torch.full((len(grid),), 1 / len(grid), dtype=torch.float64)


# Other kinds that targets of a kind can be fitted as, to measure the cost of the wrong distribution.
OTHER_KINDS: dict[TargetKind, tuple[TargetKind, ...]] = {
    TargetKind.POSITIVE: (TargetKind.REAL,),
    TargetKind.PROPORTION: (TargetKind.REAL, TargetKind.POSITIVE),
    TargetKind.ANGLE: (TargetKind.REAL,),
    TargetKind.COUNT: (TargetKind.REAL,),
}
