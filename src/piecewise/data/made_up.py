"""Made-up examples of a data set's shape, for steps that only have to be possible. No data is read."""

import torch
from torch import Tensor

from piecewise.data.randomness import generator
from piecewise.data.spec import DataSpec, Examples, TargetKind

WHOLE = (TargetKind.BINARY, TargetKind.COUNT)  # kinds whose targets are whole numbers in float32


def made_up_examples(spec: DataSpec, kind: TargetKind, count: int) -> Examples:
    """x uniform on [0, 1], and targets in the range of their kind."""
    x = torch.rand(count, *spec.input_shape, generator=generator(0, "made up"))
    return Examples(x, _targets(spec, kind, count))


def _targets(spec: DataSpec, kind: TargetKind, count: int) -> Tensor:
    if kind is TargetKind.CLASS:
        return torch.arange(count) % (spec.num_classes or 1)
    if kind is TargetKind.RANKING:
        return torch.arange(spec.num_targets).expand(count, -1)
    if kind in WHOLE:
        return (torch.arange(count) % 2).float()[:, None].expand(-1, spec.num_targets)
    return torch.full((count, spec.num_targets), 0.5)  # in the range of every other kind
