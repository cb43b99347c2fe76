"""Targets with a restricted range: a data set for each distribution in UDL figure 5.11."""

import math
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor
from torch.distributions import Beta, Distribution, Gamma, Gumbel, MultivariateNormal, Poisson, VonMises

from piecewise.data.spec import TargetKind
from piecewise.data.synthetic import Synthetic
from piecewise.errors import BadInput

# The float32 numbers next to 0 and 1: a target rounded to 0 or 1 would have no density.
ABOVE_ZERO, BELOW_ONE = torch.finfo(torch.float32).tiny, 1 - 2**-24
HIGHEST_RATE = 1000  # the entropy is a sum over all likely counts


@dataclass(frozen=True)
class WaitingTimes(Synthetic):
    """Seconds, gamma-distributed with mean exp(1 + sin 6x), x in [0, 1]; `shape` 1 is exponential."""

    name = "waiting_times"
    kind = TargetKind.POSITIVE
    positive = ("shape",)
    units = ("1", "s")

    shape: float = 3.0

    def given(self, x: Tensor) -> Distribution:
        shape = torch.full_like(x, self.shape)
        return Gamma(shape, shape / torch.exp(1 + torch.sin(6 * x)))

    def draw(self, x: Tensor, rng: torch.Generator) -> Tensor:
        return super().draw(x, rng).clamp_min(ABOVE_ZERO)


@dataclass(frozen=True)
class Proportions(Synthetic):
    """Shares with a beta distribution of mean sig[2 sin 6x], x in [0, 1], and a + b = `concentration`."""

    name = "proportions"
    kind = TargetKind.PROPORTION
    positive = ("concentration",)

    concentration: float = 12.0

    def given(self, x: Tensor) -> Distribution:
        mean = torch.sigmoid(2 * torch.sin(6 * x))
        return Beta(self.concentration * mean, self.concentration * (1 - mean))

    def draw(self, x: Tensor, rng: torch.Generator) -> Tensor:
        return super().draw(x, rng).clamp(ABOVE_ZERO, BELOW_ONE)


@dataclass(frozen=True)
class Directions(Synthetic):
    """Angles around μ = 4πx, twice the whole circle on [0, 1], with concentration κ `kappa`; in (−π, π]."""

    name = "directions"
    kind = TargetKind.ANGLE
    positive = ("kappa",)
    units = ("1", "rad")

    kappa: float = 5.0

    def given(self, x: Tensor) -> Distribution:
        angle = 4 * math.pi * x
        return VonMises(torch.atan2(angle.sin(), angle.cos()), torch.full_like(x, self.kappa))

    def entropy(self, x: Tensor) -> Tensor:
        """log 2πI₀[κ] − κ I₁[κ] / I₀[κ]; it does not depend on x."""
        kappa = torch.full_like(x[:, 0], self.kappa)
        i0, i1 = torch.special.i0e(kappa), torch.special.i1e(kappa)
        entropy: Tensor = (2 * math.pi * i0).log() + kappa - kappa * i1 / i0
        return entropy


@dataclass(frozen=True)
class Counts(Synthetic):
    """Counts with a Poisson distribution of rate `rate` · exp(sin 6x), x in [0, 1]."""

    name = "counts"
    kind = TargetKind.COUNT
    positive = ("rate",)

    rate: float = 3.0

    def __post_init__(self) -> None:
        if self.rate > HIGHEST_RATE:
            raise BadInput(f"data.rate={self.rate} must be positive and at most {HIGHEST_RATE}")
        super().__post_init__()

    def given(self, x: Tensor) -> Distribution:
        return Poisson(self.rate * torch.exp(torch.sin(6 * x)))

    def entropy(self, x: Tensor) -> Tensor:
        """The sum over counts up to λ + 20 √λ + 20, λ the largest rate; larger counts add nothing in float64."""
        most = self.rate * math.e
        counts = torch.arange(int(most + 20 * math.sqrt(most) + 20), dtype=torch.float64)
        log_p = self.given(x).log_prob(counts)
        return -(log_p.exp() * log_p).sum(dim=1)


@dataclass(frozen=True)
class Correlated(Synthetic):
    """Two targets with means sin 6x and cos 6x, x in [0, 1], noise 0.3, and a correlation from −`most` to `most`."""

    name = "correlated"
    kind = TargetKind.REAL
    num_targets = 2

    most: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.most < 1:
            raise BadInput(f"data.most={self.most} must be at least 0 and less than 1")
        super().__post_init__()

    def given(self, x: Tensor) -> Distribution:
        rho = self.most * (2 * x[..., 0] - 1)
        one = torch.ones_like(rho)
        covariance = 0.09 * torch.stack([one, rho, rho, one], dim=-1).reshape(*rho.shape, 2, 2)
        return MultivariateNormal(torch.cat([torch.sin(6 * x), torch.cos(6 * x)], dim=-1), covariance)


@dataclass(frozen=True)
class Rankings(Synthetic):
    """An order of four items, best first; the score of each item is linear in x in [−1, 1]."""

    name = "rankings"
    kind = TargetKind.RANKING
    low = -1.0
    num_targets = 4

    sharpness: float = 2.0

    def scores(self, x: Tensor) -> Tensor:
        """(N, 1) → (N, 4)."""
        slopes = torch.tensor([-1.5, -0.5, 0.5, 1.5], dtype=x.dtype)
        return self.sharpness * slopes * x

    def draw(self, x: Tensor, rng: torch.Generator) -> Tensor:
        return super().draw(x, rng).argsort(dim=1, descending=True)

    def given(self, x: Tensor) -> Distribution:
        """The distribution of the scores with Gumbel noise. Their order is the ranking."""
        scores = self.scores(x)
        return Gumbel(scores, torch.ones_like(scores))

    def entropy(self, x: Tensor) -> Tensor:
        """The sum over all 24 orders."""
        entropy = torch.zeros(len(x), dtype=torch.float64)
        for order in permutations(range(self.num_targets)):
            scores = self.scores(x)[:, list(order)]
            log_p = (scores - scores.flip(1).logcumsumexp(dim=1).flip(1)).sum(dim=1)
            entropy -= log_p.exp() * log_p
        return entropy
