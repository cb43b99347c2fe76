"""Two classes in the plane, each a curve with normal noise around it."""

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from numpy.polynomial.hermite import hermgauss
from torch import Tensor
from torch.distributions import Bernoulli, Distribution

from piecewise.data.randomness import generator
from piecewise.data.spec import Examples, TargetKind
from piecewise.data.synthetic import Synthetic

POINTS = 200  # of the midpoint rule along a curve
NODES = 12  # of Gauss-Hermite quadrature, along each axis of the noise


@dataclass(frozen=True)
class Arcs(Synthetic):
    """Two equally likely classes; x = curve(y, t) + noise, t uniform on [0, 1]."""

    kind = TargetKind.BINARY
    num_inputs = 2
    positive = ("noise",)

    num_train: int = 400
    noise: float = 0.1

    @abstractmethod
    def curve(self, label: int, t: Tensor) -> Tensor:
        """Points of the class `label`.  t: (N,) in [0, 1] → (N, 2)."""

    def generate(self, part: str) -> Examples:
        rng = generator(self.seed, self.name, part)
        count = self.parameters[f"num_{part}"]
        y = torch.rand(count, generator=rng, dtype=torch.float64) < 0.5
        t = torch.rand(count, generator=rng, dtype=torch.float64)
        points = torch.where(y[:, None], self.curve(1, t), self.curve(0, t))
        x = points + self.noise * torch.randn(count, 2, generator=rng, dtype=torch.float64)
        return Examples(x.float(), y.float()[:, None])

    def mean(self, x: Tensor) -> Tensor:
        """Pr(y = 1 | x) by Bayes' rule, each class's density an integral along its curve.  (N, 2) → (N, 1)."""
        t = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
        log_density = [
            (-torch.cdist(x.double(), self.curve(label, t)).square() / (2 * self.noise**2)).logsumexp(1)
            for label in (0, 1)
        ]
        return torch.sigmoid(log_density[1] - log_density[0])[:, None]

    def given(self, x: Tensor) -> Distribution:
        return Bernoulli(self.mean(x))

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Points around both curves: the midpoint rule over t, Gauss-Hermite over the noise."""
        roots, weights = map(torch.from_numpy, hermgauss(NODES))
        steps = math.sqrt(2) * self.noise * torch.cartesian_prod(roots, roots)
        weight = torch.cartesian_prod(weights, weights).prod(dim=1) / math.pi
        t = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
        x = torch.cat([(self.curve(label, t)[:, None] + steps).reshape(-1, 2) for label in (0, 1)])
        return x, weight.repeat(2 * POINTS) / (2 * POINTS)


@dataclass(frozen=True)
class Moons(Arcs):
    """Two interlocking half circles."""

    name = "moons"
    low, high = -1.5, 2.5

    def curve(self, label: int, t: Tensor) -> Tensor:
        angle = math.pi * t
        x = torch.stack([angle.cos(), angle.sin()], dim=1)
        return x if label == 0 else torch.tensor([1.0, 0.5], dtype=t.dtype) - x


@dataclass(frozen=True)
class Spirals(Arcs):
    """Two spiral arms of one and a half turns around the origin; they differ by a rotation of half a turn."""

    name = "spirals"
    low, high = -1.3, 1.3

    noise: float = 0.04

    def curve(self, label: int, t: Tensor) -> Tensor:
        angle, radius = 3 * math.pi * t + math.pi * label, 0.1 + 0.9 * t
        return radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
