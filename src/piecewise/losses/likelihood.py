"""The recipe of UDL 5.1: choose a distribution, let the network predict its parameters, minimise −log Pr(y | f[x])."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from piecewise.data.spec import DataSpec, TargetKind


class NegativeLogLikelihood(nn.Module, ABC):
    """A distribution over targets. Everything is per example and in nats; a batch is averaged by whoever trains."""

    kind: ClassVar[TargetKind]
    score: ClassVar[str]  # the name of what `scores` returns, as a metric
    trains_on_nll = True  # whether `objective` is `nll`

    @abstractmethod
    def num_outputs(self, spec: DataSpec) -> int:
        """D_o: network outputs needed to parameterise the distribution of one example's targets."""

    @abstractmethod
    def nll(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """−log Pr(targets | outputs) in nats.  outputs: (N, D_o), targets: (N, …) → (N,)."""

    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What training minimises, per example (N,): the negative log-likelihood unless a loss says otherwise."""
        return self.nll(outputs, targets)

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """The most probable target of each example, in the shape of the targets."""

    @abstractmethod
    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """How far, or how right, the mode is, (N,); its mean is the metric `score`."""
