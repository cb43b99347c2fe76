"""Regression whose noise depends on the input (UDL 5.3.4)."""

import math

from torch import Tensor
from torch.distributions import Distribution, Normal

from piecewise.data.spec import TargetKind
from piecewise.losses.independent import Independent
from piecewise.losses.links import positive
from piecewise.losses.normal_floor import normal_floor


class Heteroscedastic(Independent):
    """Pr(y | μ, σ²) = Norm_y[μ, σ²]; the network predicts μ = f₁[x] and σ = log(1 + exp f₂[x]) + FLOOR.

    −log Pr = (y − μ)²/2σ² + ½ log 2πσ². UDL squares f₂ instead; a square has two branches, softplus has one.
    """

    kind = TargetKind.REAL
    outputs_per_target = 2

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        mu, z = self.split(outputs)
        return {"mu": mu, "sigma": positive(z)}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        mu, sigma = self.link(outputs).values()
        return 0.5 * ((targets - mu) / sigma).square() + sigma.log() + 0.5 * math.log(2 * math.pi)

    def mode(self, outputs: Tensor) -> Tensor:
        return self.link(outputs)["mu"]

    def floor(self, truth: Distribution, entropy: Tensor) -> Tensor | None:
        """That of the mean and the standard deviation of the targets."""
        return normal_floor(truth)

    def distribution(self, outputs: Tensor) -> Normal:
        mu, sigma = self.link(outputs).values()
        return Normal(mu, sigma)
