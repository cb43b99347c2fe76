"""Finds where a training first met a number that is NaN or infinite."""

from typing import Any

import torch
from torch import Tensor, nn

from piecewise.data.resident import Batch


def is_finite(value: Any) -> bool:
    """Whether all elements of a tensor are finite; anything but a tensor counts as finite."""
    return not isinstance(value, Tensor) or bool(torch.isfinite(value).all())


@torch.no_grad()
def first_non_finite(model: nn.Module, batch: Batch) -> str:
    """Name the first that is not finite, in the order of computation: weights, batch, output of a layer, loss."""
    for name, tensor in model.state_dict().items():
        if not is_finite(tensor):
            return f"the weights {name!r}, since the previous step"
    x = batch.x.to(next(model.parameters()).dtype)  # in which the model gets them
    for name, tensor in (("inputs", x), ("targets", batch.y)):
        if not is_finite(tensor):
            return f"the {name} of the batch"
    non_finite: list[str] = []

    def note(name: str, output: Any) -> None:
        if not is_finite(output):
            non_finite.append(name)

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    hooks = [module.register_forward_hook(lambda _, __, out, name=name: note(name, out)) for name, module in leaves]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return f"the output of layer {non_finite[0]!r}" if non_finite else "the loss itself"
