"""How a step is computed: the optimizer's implementation and the number of threads.

Both follow rules that come from measurements (docs/development.md), and depend on the job and its device alone. They
never depend on a timing or on the machine's load, because both change the last bits of a result.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.utils.flop_counter import FlopCounterMode

FUSED = (SGD, Adam, AdamW)  # their fused implementation was the fastest, or equal, in every measurement
SMALL_STEP = 100e6  # floating-point operations of a forward pass; a smaller step is computed by one thread


def implementation(
    kind: type[Optimizer], arguments: dict[str, Any], parameters: Sequence[Tensor], may_be_fused: bool
) -> dict[str, bool]:
    """The arguments that choose an implementation of the optimizer `kind`; none if `arguments` choose one."""
    if any(arguments.get(key) is not None for key in ("fused", "foreach")) or arguments.get("differentiable"):
        return {}
    if may_be_fused and kind in FUSED:
        return {"fused": True}
    takes_foreach = "foreach" in inspect.signature(kind).parameters
    return {"foreach": all(parameter.is_cuda for parameter in parameters)} if takes_foreach else {}


def implementation_of(optimizer: Optimizer) -> str:
    """Which implementation an optimizer uses: fused, foreach or plain."""
    group = optimizer.param_groups[0]
    return next((name for name in ("fused", "foreach") if group.get(name)), "plain")


def num_operations(model: nn.Module, input_shape: Sequence[int], batch_size: float) -> float:
    """Floating-point operations of a forward pass over a batch, in matrix products and convolutions."""
    was_training = model.training
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    weights = {name: value.to("meta") for name, value in tensors.items()}
    examples = torch.empty(2, *input_shape, device="meta", dtype=next(iter(weights.values())).dtype)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            functional_call(model.eval(), weights, (examples,))
    finally:
        model.train(was_training)
    return float(counter.get_total_flops() / len(examples) * batch_size)
