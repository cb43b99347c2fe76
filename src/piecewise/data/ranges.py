"""Targets with a restricted range: a data set for each distribution in UDL figure 5.11."""

from __future__ import annotations

import math
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


class OneParameter(Synthetic):
    """A data set with one positive parameter, which the subclass names in its `__init__`."""

    def __init__(self, num_train: int, num_test: int, seed: int, folder: str | None, **parameter: float) -> None:
        for key, value in parameter.items():
            if not value > 0:
                raise BadInput(f"data.{key}={value} must be positive")
        super().__init__(num_train, num_test, seed, folder, **parameter)


class WaitingTimes(OneParameter):
    """Seconds, gamma-distributed with mean exp(1 + sin 6x), x in [0, 1]; `shape` 1 is exponential."""

    name = "waiting_times"
    kind = TargetKind.POSITIVE
    units = ("1", "s")

    def __init__(
        self, num_train: int = 1000, num_test: int = 4000, seed: int = 0, shape: float = 3.0, folder: str | None = None
    ) -> None:
        super().__init__(num_train, num_test, seed, folder, shape=shape)

    def given(self, x: Tensor) -> Distribution:
        shape = torch.full_like(x, self.parameters["shape"])
        return Gamma(shape, shape / torch.exp(1 + torch.sin(6 * x)))

    def draw(self, x: Tensor, rng: torch.Generator) -> Tensor:
        return super().draw(x, rng).clamp_min(ABOVE_ZERO)


class Proportions(OneParameter):
    """Shares with a beta distribution of mean sig[2 sin 6x], x in [0, 1], and a + b = `concentration`."""

    name = "proportions"
    kind = TargetKind.PROPORTION

    def __init__(
        self,
        num_train: int = 1000,
        num_test: int = 4000,
        seed: int = 0,
        concentration: float = 12.0,
        folder: str | None = None,
    ) -> None:
        super().__init__(num_train, num_test, seed, folder, concentration=concentration)

    def given(self, x: Tensor) -> Distribution:
        mean = torch.sigmoid(2 * torch.sin(6 * x))
        return Beta(self.parameters["concentration"] * mean, self.parameters["concentration"] * (1 - mean))

    def draw(self, x: Tensor, rng: torch.Generator) -> Tensor:
        return super().draw(x, rng).clamp(ABOVE_ZERO, BELOW_ONE)


class Directions(OneParameter):
    """Angles around μ = 4πx, twice the whole circle on [0, 1], with concentration κ `kappa`; in (−π, π]."""

    name = "directions"
    kind = TargetKind.ANGLE
    units = ("1", "rad")

    def __init__(
        self, num_train: int = 1000, num_test: int = 4000, seed: int = 0, kappa: float = 5.0, folder: str | None = None
    ) -> None:
        super().__init__(num_train, num_test, seed, folder, kappa=kappa)

    def given(self, x: Tensor) -> Distribution:
        angle = 4 * math.pi * x
        return VonMises(torch.atan2(angle.sin(), angle.cos()), torch.full_like(x, self.parameters["kappa"]))

    def entropy(self, x: Tensor) -> Tensor:
        """log 2πI₀[κ] − κ I₁[κ] / I₀[κ]; it does not depend on x."""
        kappa = torch.full_like(x[:, 0], self.parameters["kappa"])
        i0, i1 = torch.special.i0e(kappa), torch.special.i1e(kappa)
        entropy: Tensor = (2 * math.pi * i0).log() + kappa - kappa * i1 / i0
        return entropy


class Counts(OneParameter):
    """Counts with a Poisson distribution of rate `rate` · exp(sin 6x), x in [0, 1]."""

    name = "counts"
    kind = TargetKind.COUNT

    def __init__(
        self, num_train: int = 1000, num_test: int = 4000, seed: int = 0, rate: float = 3.0, folder: str | None = None
    ) -> None:
        if rate > HIGHEST_RATE:
            raise BadInput(f"data.rate={rate} must be positive and at most {HIGHEST_RATE}")
        super().__init__(num_train, num_test, seed, folder, rate=rate)

    def given(self, x: Tensor) -> Distribution:
        return Poisson(self.parameters["rate"] * torch.exp(torch.sin(6 * x)))

    def entropy(self, x: Tensor) -> Tensor:
        """The sum over counts up to λ + 20 √λ + 20, λ the largest rate; larger counts add nothing in float64."""
        most = self.parameters["rate"] * math.e
        counts = torch.arange(int(most + 20 * math.sqrt(most) + 20), dtype=torch.float64)
        log_p = self.given(x).log_prob(counts)
        return -(log_p.exp() * log_p).sum(dim=1)


class Correlated(Synthetic):
    """Two targets with means sin 6x and cos 6x, x in [0, 1], noise 0.3, and a correlation from −`most` to `most`."""

    name = "correlated"
    kind = TargetKind.REAL
    num_targets = 2

    def __init__(
        self, num_train: int = 1000, num_test: int = 4000, seed: int = 0, most: float = 0.95, folder: str | None = None
    ) -> None:
        if not 0 <= most < 1:
            raise BadInput(f"data.most={most} must be at least 0 and less than 1")
        super().__init__(num_train, num_test, seed, folder, most=most)

    def given(self, x: Tensor) -> Distribution:
        rho = self.parameters["most"] * (2 * x[..., 0] - 1)
        one = torch.ones_like(rho)
        covariance = 0.09 * torch.stack([one, rho, rho, one], dim=-1).reshape(*rho.shape, 2, 2)
        return MultivariateNormal(torch.cat([torch.sin(6 * x), torch.cos(6 * x)], dim=-1), covariance)


class Rankings(Synthetic):
    """An order of four items, best first; the score of each item is linear in x in [−1, 1]."""

    name = "rankings"
    kind = TargetKind.RANKING
    low = -1.0
    num_targets = 4

    def __init__(
        self,
        num_train: int = 1000,
        num_test: int = 4000,
        seed: int = 0,
        sharpness: float = 2.0,
        folder: str | None = None,
    ) -> None:
        super().__init__(num_train, num_test, seed, folder, sharpness=sharpness)

    def scores(self, x: Tensor) -> Tensor:
        """(N, 1) → (N, 4)."""
        slopes = torch.tensor([-1.5, -0.5, 0.5, 1.5], dtype=x.dtype)
        scores: Tensor = self.parameters["sharpness"] * slopes * x
        return scores

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
