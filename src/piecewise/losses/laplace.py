"""Regression that outliers influence little: absolute instead of squared errors (UDL figure 5.11)."""

from torch import Tensor, distributions

from piecewise.data.spec import TargetKind
from piecewise.losses.independent import Independent
from piecewise.losses.links import positive


class Laplace(Independent):
    """Pr(y | μ, b) = exp(−|y − μ| / b) / 2b; the network predicts μ and b. The best constant μ is the median.

    −log Pr = |y − μ| / b + log 2b.
    """

    kind = TargetKind.REAL
    outputs_per_target = 2

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        mu, z = self.split(outputs)
        return {"mu": mu, "scale": positive(z)}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        mu, scale = self.link(outputs).values()
        return (targets - mu).abs() / scale + (2 * scale).log()

    def mode(self, outputs: Tensor) -> Tensor:
        return self.link(outputs)["mu"]

    def distribution(self, outputs: Tensor) -> distributions.Laplace:
        mu, scale = self.link(outputs).values()
        return distributions.Laplace(mu, scale)
