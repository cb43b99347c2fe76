"""Multiclass classification (UDL 5.5)."""

from torch import Tensor, distributions
from torch.nn import functional

from piecewise.data.spec import DataSpec, TargetKind
from piecewise.errors import BadInput
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.shapes import check_rank, check_same_shape


class Categorical(NegativeLogLikelihood):
    """Pr(y = c) = softmax_c[z]; the network predicts the logits z.   −log Pr = −z_y + log Σ_c exp z_c  (UDL eq. 5.24).

    Training may smooth the labels: `label_smoothing` of the probability is spread evenly over all classes.
    """

    kind = TargetKind.CLASS
    truths = (distributions.Categorical,)
    score = "accuracy"

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise BadInput(f"loss.label_smoothing={label_smoothing} must be at least 0 and less than 1")
        self.label_smoothing = label_smoothing
        self.trains_on_nll = label_smoothing == 0

    def num_outputs(self, spec: DataSpec) -> int:
        if spec.num_classes is None:
            raise BadInput(f"loss=categorical needs classes; data={spec.name} has none")
        return spec.num_classes

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        return {"probability": outputs.softmax(dim=1)}

    def nll(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self._check(outputs, targets)
        return functional.cross_entropy(outputs, targets, reduction="none")

    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self._check(outputs, targets)
        return functional.cross_entropy(outputs, targets, reduction="none", label_smoothing=self.label_smoothing)

    def mode(self, outputs: Tensor) -> Tensor:
        return outputs.argmax(dim=1)

    def mean(self, outputs: Tensor) -> None:
        return None

    def distribution(self, outputs: Tensor) -> distributions.Categorical:
        return distributions.Categorical(logits=outputs)

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """1 if the most probable class is the target, else 0."""
        self._check(outputs, targets)
        return (self.mode(outputs) == targets).to(outputs.dtype)

    def _check(self, outputs: Tensor, targets: Tensor) -> None:
        check_rank("outputs", outputs, 2)
        check_same_shape("outputs without its classes", outputs[:, 0], "targets", targets)
