"""Binary classification (UDL 5.4)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from piecewise.data.spec import DataSpec, TargetKind
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.shapes import check_same_shape


class Bernoulli(NegativeLogLikelihood):
    """Pr(y | λ) = (1 − λ)^(1−y) λ^y with λ = sig[z]; the network predicts the logit z.

    −log Pr = −(1 − y) log[1 − sig[z]] − y log[sig[z]]  (UDL eq. 5.20), computed from z so that no logarithm meets 0.
    """

    kind = TargetKind.BINARY
    score = "accuracy"

    def num_outputs(self, spec: DataSpec) -> int:
        return spec.num_targets

    def nll(self, outputs: Tensor, targets: Tensor) -> Tensor:
        check_same_shape("outputs", outputs, "targets", targets)
        return functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").flatten(1).sum(dim=1)

    def mode(self, outputs: Tensor) -> Tensor:
        return (outputs > 0).to(outputs.dtype)

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """1 where every target of the example is right, else 0."""
        check_same_shape("outputs", outputs, "targets", targets)
        return (self.mode(outputs) == targets).flatten(1).all(dim=1).to(outputs.dtype)
