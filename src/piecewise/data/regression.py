"""Data sets of real targets: y = f(x) + noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, Normal, StudentT

from piecewise.data.spec import TargetKind
from piecewise.data.synthetic import Synthetic
from piecewise.errors import BadInput


class WithNoise(Synthetic):
    """y = f(x) + normal noise with standard deviation `noise`. f is `mean`, which each data set defines."""

    kind = TargetKind.REAL

    def __init__(
        self, num_train: int, num_test: int, seed: int, folder: str | None, noise: float, **parameters: float
    ) -> None:
        if not noise >= 0:
            raise BadInput(f"data.noise={noise} must be at least 0")
        super().__init__(num_train, num_test, seed, folder, **parameters, noise=noise)

    def draw(self, x: Tensor, rng: torch.Generator) -> Tensor:
        y: Tensor = self.mean(x) + self.parameters["noise"] * torch.randn(x.shape, generator=rng, dtype=x.dtype)
        return y

    def given(self, x: Tensor) -> Distribution:
        # With noise 0 the density is unbounded and its entropy is −∞: both are correct.
        return Normal(self.mean(x), torch.tensor(self.parameters["noise"]).double(), validate_args=False)

    def mean(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Line(WithNoise):
    """y = β₀ + β₁x + noise, x in [0, 2]  (UDL 2.2)."""

    name = "line"
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


class Curve1d(WithNoise):
    """y = exp(sin 4x) − 1 + noise on [−1, 1]: a smooth wave to approximate by linear pieces."""

    name = "curve_1d"
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


class GaborWave(WithNoise):
    """y = sin(φ₀ + 0.06 φ₁x) exp(−(φ₀ + 0.06 φ₁x)² / 32) + noise on [−15, 15]  (UDL 6.1.2, eq. 6.8)."""

    name = "gabor"
    low, high = -15.0, 15.0

    def __init__(
        self,
        num_train: int = 200,
        num_test: int = 1000,
        seed: int = 0,
        phi0: float = 0.0,
        phi1: float = 16.6,
        noise: float = 0.1,
        folder: str | None = None,
    ) -> None:
        super().__init__(num_train, num_test, seed, folder, phi0=phi0, phi1=phi1, noise=noise)

    def mean(self, x: Tensor) -> Tensor:
        phase = self.parameters["phi0"] + 0.06 * self.parameters["phi1"] * x
        return torch.sin(phase) * torch.exp(-phase.square() / 32)


class Funnel(Synthetic):
    """y = sin 6x + noise on [0, 1] whose standard deviation grows in proportion to x, from `least` to `most`."""

    name = "funnel"
    kind = TargetKind.REAL

    def __init__(
        self,
        num_train: int = 1000,
        num_test: int = 4000,
        seed: int = 0,
        least: float = 0.05,
        most: float = 0.6,
        folder: str | None = None,
    ) -> None:
        if not 0 < least <= most:
            raise BadInput(f"data.least={least} must be positive and at most data.most={most}")
        super().__init__(num_train, num_test, seed, folder, least=least, most=most)

    def given(self, x: Tensor) -> Distribution:
        least, most = self.parameters["least"], self.parameters["most"]
        return Normal(torch.sin(6 * x), least + (most - least) * x)


class Outliers(Synthetic):
    """y = exp(sin 4x) − 1 on [−1, 1] with noise from Student's t distribution: a few targets are far away."""

    name = "outliers"
    kind = TargetKind.REAL
    low = -1.0

    def __init__(
        self,
        num_train: int = 400,
        num_test: int = 4000,
        seed: int = 0,
        degrees: float = 1.5,
        scale: float = 0.1,
        folder: str | None = None,
    ) -> None:
        for key, value in (("degrees", degrees), ("scale", scale)):
            if not value > 0:
                raise BadInput(f"data.{key}={value} must be positive")
        super().__init__(num_train, num_test, seed, folder, degrees=degrees, scale=scale)

    def given(self, x: Tensor) -> Distribution:
        return StudentT(self.parameters["degrees"], torch.exp(torch.sin(4 * x)) - 1, self.parameters["scale"])


class TwoModes(Synthetic):
    """y = ±(x + ½) + noise on [0, 1], both signs equally likely: the mean is near neither."""

    name = "two_modes"
    kind = TargetKind.REAL
    num_points = 201  # few, because the branches are far apart and the entropy hardly changes with x

    def __init__(
        self,
        num_train: int = 1000,
        num_test: int = 4000,
        seed: int = 0,
        noise: float = 0.1,
        folder: str | None = None,
    ) -> None:
        if not noise > 0:
            raise BadInput(f"data.noise={noise} must be positive")
        super().__init__(num_train, num_test, seed, folder, noise=noise)

    def given(self, x: Tensor) -> Distribution:
        branches = torch.stack([x + 0.5, -x - 0.5], dim=-1)
        noise = torch.full_like(branches, self.parameters["noise"])
        return MixtureSameFamily(Categorical(torch.ones_like(branches)), Normal(branches, noise))

    def entropy(self, x: Tensor) -> Tensor:
        """−E[log Pr(y | x)] by the midpoint rule over t in [−10, 10], where y = x + ½ + noise · t.

        By symmetry the other sign has the same entropy.
        """
        count, reach = 2001, 10.0
        t = reach * (2 * (torch.arange(count, dtype=torch.float64) + 0.5) / count - 1)
        y = x + 0.5 + self.parameters["noise"] * t
        log_p = self.given(x.unsqueeze(1).expand(-1, count, -1)).log_prob(y.unsqueeze(-1)).squeeze(-1)
        density = torch.exp(-0.5 * t.square()) / math.sqrt(2 * math.pi)
        entropy: Tensor = -(density * log_p).sum(dim=1) * (2 * reach / count)
        return entropy
