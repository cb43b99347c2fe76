"""Regression with a normal distribution of fixed width (UDL 5.3)."""

from __future__ import annotations

import math

from torch import Tensor

from piecewise.data.spec import DataSpec, TargetKind
from piecewise.errors import BadInput
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.shapes import check_same_shape


class SquaredError(NegativeLogLikelihood):
    """Pr(y | μ) = Norm_y[μ, σ²] with σ fixed; the network predicts μ.

    −log Pr = (y − μ)²/2σ² + ½ log 2πσ², summed over the targets of an example  (UDL eq. 5.10).
    """

    kind = TargetKind.REAL
    score = "squared_error"

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        if not (math.isfinite(sigma) and sigma > 0):
            raise BadInput(f"loss.sigma={sigma} must be a positive number")
        self.sigma = sigma

    def num_outputs(self, spec: DataSpec) -> int:
        return spec.num_targets

    def nll(self, outputs: Tensor, targets: Tensor) -> Tensor:
        check_same_shape("outputs", outputs, "targets", targets)
        squares = ((targets - outputs) / self.sigma).square().flatten(1)
        constant = math.log(2 * math.pi) + 2 * math.log(self.sigma)
        return 0.5 * (squares + constant).sum(dim=1)

    def mode(self, outputs: Tensor) -> Tensor:
        return outputs

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(y − μ)², averaged over the targets of an example."""
        check_same_shape("outputs", outputs, "targets", targets)
        return (targets - outputs).square().flatten(1).mean(dim=1)
