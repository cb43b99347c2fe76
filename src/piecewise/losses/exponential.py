"""Regression of positive targets: waiting times, magnitudes (UDL figure 5.11)."""

import torch
from torch import Tensor, distributions

from piecewise.data.spec import TargetKind
from piecewise.losses.independent import Independent
from piecewise.losses.links import rate


class Exponential(Independent):
    """Pr(y | λ) = λ exp(−λy), y > 0; the network predicts log λ. The best constant λ is 1 / mean.

    −log Pr = λy − log λ.
    """

    kind = TargetKind.POSITIVE

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        return {"rate": rate(outputs)[0]}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        lambda_, log_lambda = rate(outputs)
        return lambda_ * targets - log_lambda

    def mode(self, outputs: Tensor) -> Tensor:
        """0, where the density is highest in the limit; 0 itself is not a possible target."""
        return torch.zeros_like(outputs)

    def floor(self, truth: distributions.Distribution, entropy: Tensor) -> Tensor:
        """1 + log E[y]: that of the rate 1 / E[y]."""
        return (1 + truth.mean.log()).sum(dim=1)

    def distribution(self, outputs: Tensor) -> distributions.Exponential:
        return distributions.Exponential(self.link(outputs)["rate"])
