"""Activation functions by name, and traces of forward passes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from piecewise.errors import BadInput, nearest


class Heaviside(nn.Module):
    """a[z] = 1 if z > 0, else 0. Its gradient is zero wherever it exists, so it cannot be trained."""

    def forward(self, z: Tensor) -> Tensor:
        # 0 · z keeps the output in the graph with the gradient zero. An infinite z must not enter: 0 · ∞ is NaN.
        return torch.heaviside(z.detach(), torch.zeros_like(z)) + 0 * z.clamp(-1, 1)


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "heaviside": Heaviside,
}


@dataclass(frozen=True)
class ForwardPass:
    """All values of a forward pass; the lists have one tensor (N, …) for each hidden layer."""

    output: Tensor
    pre_activations: list[Tensor]
    activations: list[Tensor]


def named_activation(name: str) -> nn.Module:
    """The activation function a[·] called `name`. Raises BadInput for an unknown one."""
    if name not in _ACTIVATIONS:
        raise BadInput(f"activation={name!r} is unknown; {nearest(name, _ACTIVATIONS)}")
    return _ACTIVATIONS[name]()


def trace_activations(model: nn.Module, kind: type[nn.Module], x: Tensor) -> ForwardPass:
    """Run `model` and record the inputs and outputs of its activations, which are all of one `kind`."""
    pre_activations: list[Tensor] = []
    activations: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pre_activations.append(inputs[0])
        activations.append(output)

    hooks = [layer.register_forward_hook(note) for layer in model.modules() if isinstance(layer, kind)]
    try:
        return ForwardPass(model(x), pre_activations, activations)
    finally:
        for hook in hooks:
            hook.remove()
