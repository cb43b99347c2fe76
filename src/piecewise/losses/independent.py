"""The base class of distributions of one number: the targets of an example are independent given the input."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from piecewise.data.spec import DataSpec
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.shapes import check_columns, check_outputs_per_target


class Independent(NegativeLogLikelihood):
    """A separate distribution for each target; the −log Pr of an example is their sum.

    Of D_o = K·C outputs the first C belong to the first parameter of each target, the next C to the second, ….
    """

    outputs_per_target: int = 1  # K
    score: ClassVar[str] = "squared_error"

    def num_outputs(self, spec: DataSpec) -> int:
        return self.outputs_per_target * spec.num_targets

    def split(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """(N, K·C) → K tensors of (N, C). Raises ValueError for a width that K does not divide."""
        check_columns("outputs", outputs, self.outputs_per_target)
        return outputs.tensor_split(self.outputs_per_target, dim=1)

    def nll(self, outputs: Tensor, targets: Tensor) -> Tensor:
        check_outputs_per_target(outputs, targets, self.outputs_per_target)
        return self.nll_of_each(outputs, targets).flatten(1).sum(dim=1)

    @abstractmethod
    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """−log Pr of each target.  outputs: (N, K·C), targets: (N, C) → (N, C)."""

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(y − E[y])², averaged over the targets of an example."""
        check_outputs_per_target(outputs, targets, self.outputs_per_target)
        mean = self.mean(outputs)
        assert mean is not None
        return (targets - mean).square().flatten(1).mean(dim=1)

    def quantile(self, outputs: Tensor, share: float) -> Tensor | None:
        distribution: Any = self.distribution(outputs)
        found: Tensor = distribution.icdf(outputs.new_tensor(share))
        return found


def from_scipy(name: str, share: float, *parameters: Tensor) -> Tensor:
    """The quantile of a distribution that has none in PyTorch, in the dtype of its first parameter."""
    from scipy import stats

    arrays = [parameter.detach().cpu().double().numpy() for parameter in parameters]
    found: Any = getattr(stats, name).ppf(share, *arrays)
    return torch.as_tensor(found).to(parameters[0])
