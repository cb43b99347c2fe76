"""Data sets of classes whose probabilities are known at every x."""

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution

from piecewise.data.spec import TargetKind
from piecewise.data.synthetic import Synthetic


@dataclass(frozen=True)
class TwoClasses(Synthetic):
    """Pr(y = 1 | x) is `mean`, which each data set defines."""

    kind = TargetKind.BINARY

    sharpness: float = 4.0

    def draw(self, x: Tensor, rng: torch.Generator) -> Tensor:
        probability = self.mean(x)
        drawn = torch.rand(probability.shape, generator=rng, dtype=x.dtype)
        return (drawn < probability).to(x.dtype)

    def given(self, x: Tensor) -> Distribution:
        return Bernoulli(self.mean(x))

    @abstractmethod
    def mean(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Binary1d(TwoClasses):
    """Pr(y = 1 | x) = sig[sharpness · sin 2πx], x in [0, 1]  (UDL 5.4)."""

    name = "binary_1d"

    def mean(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.sharpness * torch.sin(2 * math.pi * x))


@dataclass(frozen=True)
class Regions2d(TwoClasses):
    """Pr(y = 1 | x) = sig[sharpness · sin πx₁ sin πx₂] on [−1, 1]²: class 1 is likely in two opposite quadrants."""

    name = "regions_2d"
    low = -1.0
    num_inputs = 2

    def mean(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.sharpness * torch.sin(math.pi * x).prod(dim=1, keepdim=True))


@dataclass(frozen=True)
class Multiclass1d(Synthetic):
    """Three classes with logits sharpness · cos 2π(x − c/3), x in [0, 1]  (UDL 5.5)."""

    name = "multiclass_1d"
    kind = TargetKind.CLASS
    num_classes = 3

    sharpness: float = 4.0

    def given(self, x: Tensor) -> Distribution:
        turns = torch.arange(3, dtype=x.dtype) / 3
        return Categorical(logits=self.sharpness * torch.cos(2 * math.pi * (x - turns)))
