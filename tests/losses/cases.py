"""Every loss with outputs and targets in its range, and SciPy's version of its distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from piecewise.losses.bernoulli import Bernoulli
from piecewise.losses.beta import Beta
from piecewise.losses.categorical import Categorical
from piecewise.losses.exponential import Exponential
from piecewise.losses.gamma import Gamma
from piecewise.losses.heteroscedastic import Heteroscedastic
from piecewise.losses.laplace import Laplace
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.losses.mixture import Mixture
from piecewise.losses.multivariate_normal import MultivariateNormal
from piecewise.losses.plackett_luce import PlackettLuce
from piecewise.losses.poisson import Poisson
from piecewise.losses.squared_error import SquaredError
from piecewise.losses.student_t import StudentT
from piecewise.losses.von_mises import VonMises

N, C = 40, 2


def real(rng: torch.Generator) -> Tensor:
    return 2 * torch.randn(N, C, generator=rng, dtype=torch.float64)


def positive(rng: torch.Generator) -> Tensor:
    return real(rng).exp()


def proportion(rng: torch.Generator) -> Tensor:
    return real(rng).sigmoid()


def count(rng: torch.Generator) -> Tensor:
    return positive(rng).floor()


def binary(rng: torch.Generator) -> Tensor:
    return (real(rng) > 0).double()


def classes(rng: torch.Generator) -> Tensor:
    return torch.randint(0, 4, (N,), generator=rng)


def rankings(rng: torch.Generator) -> Tensor:
    return torch.rand(N, 4, generator=rng).argsort(dim=1)


@dataclass(frozen=True)
class Case:
    """`num_outputs` is for C targets; `scipy` makes SciPy's distribution from the `link`, if SciPy has one."""

    loss: NegativeLogLikelihood
    num_outputs: int
    targets: Callable[[torch.Generator], Tensor]
    scipy: Callable[..., Any] | None = field(default=None)

    @property
    def id(self) -> str:
        return type(self.loss).__name__

    def draw(self, seed: int = 0) -> tuple[Tensor, Tensor]:
        """(outputs, targets), float64."""
        rng = torch.Generator().manual_seed(seed)
        return 2 * torch.randn(N, self.num_outputs, generator=rng, dtype=torch.float64), self.targets(rng)

    def parameters(self, outputs: Tensor) -> list[np.ndarray]:
        return [value.detach().numpy() for value in self.loss.link(outputs).values()]


CASES = [
    Case(SquaredError(0.5), C, real, stats.norm),
    Case(Heteroscedastic(), 2 * C, real, stats.norm),
    Case(Laplace(), 2 * C, real, stats.laplace),
    Case(StudentT(2.5), 2 * C, real, lambda mu, scale: stats.t(2.5, mu, scale)),
    Case(Mixture(3), 9 * C, real),
    Case(Exponential(), C, positive, lambda rate: stats.expon(scale=1 / rate)),
    Case(Gamma(), 2 * C, positive, lambda shape, rate: stats.gamma(shape, scale=1 / rate)),
    Case(Beta(), 2 * C, proportion, stats.beta),
    Case(VonMises(), 3 * C, real, lambda mu, kappa: stats.vonmises(kappa, loc=mu)),
    Case(MultivariateNormal(), C + 3, real),
    Case(Bernoulli(), C, binary, stats.bernoulli),
    Case(Categorical(), 4, classes),
    Case(Poisson(), C, count, stats.poisson),
    Case(PlackettLuce(), 4, rankings),
]
CONTINUOUS = [
    case
    for case in CASES
    if case.id
    in ["SquaredError", "Heteroscedastic", "Laplace", "StudentT", "Mixture", "Exponential", "Gamma", "Beta", "VonMises"]
]
