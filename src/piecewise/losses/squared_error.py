"""Regression with a normal distribution of fixed width (UDL 5.3)."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from piecewise.data.spec import TargetKind
from piecewise.errors import BadInput
from piecewise.losses.independent import Independent
from piecewise.losses.normal_floor import normal_floor


class SquaredError(Independent):
    """Pr(y | μ) = Norm_y[μ, σ²] with σ fixed; the network predicts μ.

    −log Pr = (y − μ)²/2σ² + ½ log 2πσ², summed over the targets of an example  (UDL eq. 5.10).
    """

    kind = TargetKind.REAL

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        if not (math.isfinite(sigma) and sigma > 0):
            raise BadInput(f"loss.sigma={sigma} must be a positive number")
        self.sigma = sigma

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        return {"mu": outputs, "sigma": torch.full_like(outputs, self.sigma)}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        squares = ((targets - outputs) / self.sigma).square()
        return 0.5 * (squares + (math.log(2 * math.pi) + 2 * math.log(self.sigma)))

    def mode(self, outputs: Tensor) -> Tensor:
        return outputs

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs

    def floor(self, truth: Distribution, entropy: Tensor) -> Tensor | None:
        """Var[y]/2σ² + ½ log 2πσ²: that of the mean."""
        return normal_floor(truth, torch.tensor(self.sigma, dtype=entropy.dtype))

    def distribution(self, outputs: Tensor) -> Normal:
        return Normal(outputs, self.sigma)
