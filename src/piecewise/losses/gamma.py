"""Regression of positive targets with a most likely size above 0 (UDL figure 5.11)."""

from torch import Tensor, distributions

from piecewise.data.spec import TargetKind
from piecewise.losses.independent import Independent, from_scipy
from piecewise.losses.links import positive, rate


class Gamma(Independent):
    """Pr(y | a, λ) = λᵃ yᵃ⁻¹ exp(−λy) / Γ[a], y > 0; the network predicts the shape a and log λ.

    −log Pr = log Γ[a] − a log λ − (a − 1) log y + λy; with a = 1 it is the exponential distribution.
    """

    kind = TargetKind.POSITIVE
    truths = (distributions.Gamma,)
    outputs_per_target = 2

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        z, log_rate = self.split(outputs)
        return {"shape": positive(z), "rate": rate(log_rate)[0]}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        z, log_rate = self.split(outputs)
        shape, (lambda_, log_lambda) = positive(z), rate(log_rate)
        return shape.lgamma() - shape * log_lambda - (shape - 1) * targets.log() + lambda_ * targets

    def mode(self, outputs: Tensor) -> Tensor:
        """(a − 1) / λ; for a ≤ 1 it is 0, the limit of highest density, which is not a possible target."""
        shape, lambda_ = self.link(outputs).values()
        return (shape - 1).clamp_min(0) / lambda_

    def distribution(self, outputs: Tensor) -> distributions.Gamma:
        shape, lambda_ = self.link(outputs).values()
        return distributions.Gamma(shape, lambda_)

    def quantile(self, outputs: Tensor, share: float) -> Tensor:
        shape, lambda_ = self.link(outputs).values()
        return from_scipy("gamma", share, shape) / lambda_
