"""The recipe of UDL 5.1: choose a distribution, let the network predict its parameters, minimise −log Pr(y | f[x])."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from piecewise.data.spec import DataSpec, TargetKind


class NegativeLogLikelihood(nn.Module, ABC):
    """A distribution over targets. Likelihoods are per example and in nats; the caller averages over a batch.

    `outputs` are the network's, (N, D_o) real numbers. Modes, means, samples and quantiles have the targets' shape.
    """

    kind: ClassVar[TargetKind]
    score: ClassVar[str]  # the metric that is the mean of `scores`: accuracy, squared_error, …
    trains_on_nll = True  # whether `objective` is `nll`
    truths: ClassVar[tuple[type[Distribution], ...]] = ()  # the kinds of distribution that this one can equal

    @abstractmethod
    def num_outputs(self, spec: DataSpec) -> int:
        """D_o: network outputs needed to parameterise the distribution of one example's targets."""

    @abstractmethod
    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        """The parameters of the distribution, by their names: each (N, …), in its own range."""

    @abstractmethod
    def nll(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """−log Pr(targets | outputs) in nats.  outputs: (N, D_o), targets: (N, …) → (N,)."""

    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What training minimises, per example (N,): the negative log-likelihood, unless a loss overrides this."""
        return self.nll(outputs, targets)

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """The most probable target of each example, in the shape of the targets."""

    @abstractmethod
    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The error or correctness of the prediction, (N,)."""

    @abstractmethod
    def distribution(self, outputs: Tensor) -> Distribution:
        """The same distribution as a torch.distributions object, for samples and means, not for training."""

    def mean(self, outputs: Tensor) -> Tensor | None:
        """E[y], in the shape of the targets; None if they have no mean, such as classes and rankings."""
        return self.distribution(outputs).mean

    def sample(self, outputs: Tensor, seed: int) -> Tensor:
        """Draw each example's targets under `seed`, without changing the state of torch's generators."""
        devices = [outputs.device] if outputs.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            return self.distribution(outputs).sample()

    def floor(self, truth: Distribution, entropy: Tensor) -> Tensor | None:
        """The least mean of `nll` over targets drawn from `truth`, (N,); None if it is not known.

        entropy: (N,), of each example's targets under `truth`, in nats. No outputs do better, and a distribution that
        can equal `truth` reaches it.
        """
        return entropy if isinstance(truth, self.truths) else None

    def quantile(self, outputs: Tensor, share: float) -> Tensor | None:
        """The quantile of each target at probability `share`, in (0, 1); None if targets have no order."""
        return None
