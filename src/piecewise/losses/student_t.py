"""Regression with heavy tails: the farther an outlier lies, the less it pulls (UDL figure 5.11)."""

import math

from torch import Tensor
from torch.distributions import Distribution as Truth
from torch.distributions import StudentT as Distribution

from piecewise.data.spec import TargetKind
from piecewise.errors import BadInput
from piecewise.losses.independent import Independent, from_scipy
from piecewise.losses.links import positive


class StudentT(Independent):
    """Student's t with ν `degrees` of freedom, more than 1 so that it has a mean; the network predicts μ and scale s.

    −log Pr = ½(ν + 1) log[1 + (y − μ)² / νs²] + log s + ½ log νπ + log Γ[ν/2] − log Γ[(ν + 1)/2].
    """

    kind = TargetKind.REAL
    outputs_per_target = 2

    def __init__(self, degrees: float = 3.0) -> None:
        super().__init__()
        if not (math.isfinite(degrees) and degrees > 1):
            raise BadInput(f"loss.degrees={degrees} must be more than 1, so that the distribution has a mean")
        self.degrees = degrees

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        mu, z = self.split(outputs)
        return {"mu": mu, "scale": positive(z)}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        mu, scale = self.link(outputs).values()
        nu = self.degrees
        constant = 0.5 * math.log(nu * math.pi) + math.lgamma(nu / 2) - math.lgamma((nu + 1) / 2)
        return 0.5 * (nu + 1) * (((targets - mu) / scale).square() / nu).log1p() + scale.log() + constant

    def mode(self, outputs: Tensor) -> Tensor:
        return self.link(outputs)["mu"]

    def floor(self, truth: Truth, entropy: Tensor) -> Tensor | None:
        """The entropy of a t distribution with the same degrees of freedom; unknown for others."""
        is_same = isinstance(truth, Distribution) and bool((truth.df == self.degrees).all())
        return entropy if is_same else None

    def distribution(self, outputs: Tensor) -> Distribution:
        mu, scale = self.link(outputs).values()
        return Distribution(self.degrees, mu, scale)

    def quantile(self, outputs: Tensor, share: float) -> Tensor:
        mu, scale = self.link(outputs).values()
        return mu + scale * from_scipy("t", share, mu.new_tensor(self.degrees))
