"""Data sets of real targets: y = f(x) + noise."""

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, Normal, StudentT

from piecewise.data.spec import TargetKind
from piecewise.data.synthetic import Synthetic
from piecewise.errors import BadInput


@dataclass(frozen=True)
class WithNoise(Synthetic):
    """y = f(x) + normal noise with standard deviation `noise`. f is `mean`, which each data set defines."""

    kind = TargetKind.REAL

    noise: float = 0.1

    def __post_init__(self) -> None:
        if not self.noise >= 0:
            raise BadInput(f"data.noise={self.noise} must be at least 0")
        super().__post_init__()

    def draw(self, x: Tensor, rng: torch.Generator) -> Tensor:
        return self.mean(x) + self.noise * torch.randn(x.shape, generator=rng, dtype=x.dtype)

    def given(self, x: Tensor) -> Distribution:
        # With noise 0 the density is unbounded and its entropy is −∞: both are correct.
        return Normal(self.mean(x), torch.tensor(self.noise).double(), validate_args=False)

    @abstractmethod
    def mean(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Line(WithNoise):
    """y = β₀ + β₁x + noise, x in [0, 2]  (UDL 2.2)."""

    name = "line"
    high = 2.0

    num_train: int = 100
    num_test: int = 1000
    intercept: float = 0.5
    slope: float = -0.8
    noise: float = 0.2

    def mean(self, x: Tensor) -> Tensor:
        return self.intercept + self.slope * x


@dataclass(frozen=True)
class Curve1d(WithNoise):
    """y = exp(sin 4x) − 1 + noise on [−1, 1]: a smooth wave to approximate by linear pieces."""

    name = "curve_1d"
    low = -1.0

    num_train: int = 400
    num_test: int = 1000

    def mean(self, x: Tensor) -> Tensor:
        return torch.exp(torch.sin(4 * x)) - 1


@dataclass(frozen=True)
class GaborWave(WithNoise):
    """y = sin(φ₀ + 0.06 φ₁x) exp(−(φ₀ + 0.06 φ₁x)² / 32) + noise on [−15, 15]  (UDL 6.1.2, eq. 6.8)."""

    name = "gabor"
    low, high = -15.0, 15.0

    num_train: int = 200
    num_test: int = 1000
    phi0: float = 0.0
    phi1: float = 16.6

    def mean(self, x: Tensor) -> Tensor:
        phase = self.phi0 + 0.06 * self.phi1 * x
        return torch.sin(phase) * torch.exp(-phase.square() / 32)


@dataclass(frozen=True)
class Funnel(Synthetic):
    """y = sin 6x + noise on [0, 1] whose standard deviation grows in proportion to x, from `least` to `most`."""

    name = "funnel"
    kind = TargetKind.REAL

    least: float = 0.05
    most: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most:
            raise BadInput(f"data.least={self.least} must be positive and at most data.most={self.most}")
        super().__post_init__()

    def given(self, x: Tensor) -> Distribution:
        return Normal(torch.sin(6 * x), self.least + (self.most - self.least) * x)


@dataclass(frozen=True)
class Outliers(Synthetic):
    """y = exp(sin 4x) − 1 on [−1, 1] with noise from Student's t distribution: a few targets are far away."""

    name = "outliers"
    kind = TargetKind.REAL
    low = -1.0
    positive = ("degrees", "scale")

    num_train: int = 400
    degrees: float = 1.5
    scale: float = 0.1

    def given(self, x: Tensor) -> Distribution:
        return StudentT(self.degrees, torch.exp(torch.sin(4 * x)) - 1, self.scale)


@dataclass(frozen=True)
class TwoModes(Synthetic):
    """y = ±(x + ½) + noise on [0, 1], both signs equally likely: the mean is near neither."""

    name = "two_modes"
    kind = TargetKind.REAL
    num_points = 201  # few, because the branches are far apart and the entropy hardly changes with x
    positive = ("noise",)

    noise: float = 0.1

    def given(self, x: Tensor) -> Distribution:
        branches = torch.stack([x + 0.5, -x - 0.5], dim=-1)
        noise = torch.full_like(branches, self.noise)
        return MixtureSameFamily(Categorical(torch.ones_like(branches)), Normal(branches, noise))

    def entropy(self, x: Tensor) -> Tensor:
        """−E[log Pr(y | x)] by the midpoint rule over t in [−10, 10], where y = x + ½ + noise · t.

        By symmetry the other sign has the same entropy.
        """
        count, reach = 2001, 10.0
        t = reach * (2 * (torch.arange(count, dtype=torch.float64) + 0.5) / count - 1)
        y = x + 0.5 + self.noise * t
        log_p = self.given(x.unsqueeze(1).expand(-1, count, -1)).log_prob(y.unsqueeze(-1)).squeeze(-1)
        density = torch.exp(-0.5 * t.square()) / math.sqrt(2 * math.pi)
        return -(density * log_p).sum(dim=1) * (2 * reach / count)
