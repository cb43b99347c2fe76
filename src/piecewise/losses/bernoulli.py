"""The loss for binary classification (UDL 5.4)."""

from torch import Tensor, distributions
from torch.nn import functional

from piecewise.data.spec import TargetKind
from piecewise.losses.independent import Independent
from piecewise.shapes import check_outputs_per_target


class Bernoulli(Independent):
    """Pr(y | λ) = (1 − λ)^(1−y) λ^y with λ = sig[z]; the network predicts the logit z.

    −log Pr = −(1 − y) log[1 − sig[z]] − y log[sig[z]]  (UDL eq. 5.20), computed from z, so that log 0 never occurs.
    """

    kind = TargetKind.BINARY
    truths = (distributions.Bernoulli,)
    score = "accuracy"

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        return {"probability": outputs.sigmoid()}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")

    def mode(self, outputs: Tensor) -> Tensor:
        return (outputs > 0).to(outputs.dtype)

    def distribution(self, outputs: Tensor) -> distributions.Bernoulli:
        return distributions.Bernoulli(logits=outputs)

    def quantile(self, outputs: Tensor, share: float) -> None:
        """None: an interval of two classes says nothing that the probability does not."""
        return None

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """For each example, 1 if all its targets are predicted correctly, else 0."""
        check_outputs_per_target(outputs, targets, 1)
        return (self.mode(outputs) == targets).flatten(1).all(dim=1).to(outputs.dtype)
