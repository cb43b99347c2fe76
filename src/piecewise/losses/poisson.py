"""Regression of counts (UDL figure 5.11)."""

from torch import Tensor, distributions

from piecewise.data.spec import TargetKind
from piecewise.losses.independent import Independent, from_scipy
from piecewise.losses.links import rate


class Poisson(Independent):
    """Pr(y = k | λ) = λᵏ exp(−λ) / k!; the network predicts log λ. The best constant λ is the mean of the targets.

    −log Pr = λ − k log λ + log k!.
    """

    kind = TargetKind.COUNT
    truths = (distributions.Poisson,)

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        return {"rate": rate(outputs)[0]}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        lambda_, log_lambda = rate(outputs)
        return lambda_ - targets * log_lambda + (targets + 1).lgamma()

    def mode(self, outputs: Tensor) -> Tensor:
        """⌊λ⌋; for a whole λ, λ − 1 is equally likely."""
        return self.link(outputs)["rate"].floor()

    def distribution(self, outputs: Tensor) -> distributions.Poisson:
        return distributions.Poisson(self.link(outputs)["rate"])

    def quantile(self, outputs: Tensor, share: float) -> Tensor:
        return from_scipy("poisson", share, self.link(outputs)["rate"])
