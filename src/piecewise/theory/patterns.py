"""Counts activation patterns on a sample, for networks whose linear regions cannot be listed."""

from typing import Any

import torch
from torch import Tensor, nn

CHUNK = 4096


@torch.no_grad()
def count_patterns(model: nn.Module, x: Tensor) -> int:
    """The number of activation patterns of a ReLU network among x, (N, …): at most the number of regions.

    Raises ValueError for a model that cannot be traced or has no ReLU.
    """
    trace: Any = getattr(model, "trace", None)
    if trace is None or not any(isinstance(layer, nn.ReLU) for layer in model.modules()):
        raise ValueError(f"{type(model).__name__} has no ReLU whose pattern could be counted")
    found: Tensor | None = None
    for chunk in torch.split(x, CHUNK):
        signs = torch.cat([z.flatten(1) > 0 for z in trace(chunk).pre_activations], dim=1)
        found = torch.unique(signs if found is None else torch.cat([found, signs]), dim=0)
    return 0 if found is None else len(found)
