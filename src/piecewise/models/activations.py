"""Activation functions by name, and what a traced forward pass returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from piecewise.errors import BadInput, nearest

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


@dataclass(frozen=True)
class ForwardPass:
    """Everything a forward pass computed; the lists have one entry per hidden layer, (N, D) each."""

    output: Tensor
    pre_activations: list[Tensor]
    activations: list[Tensor]


def named_activation(name: str) -> nn.Module:
    """The activation function a[·] called `name`. Raises BadInput for an unknown one."""
    if name not in _ACTIVATIONS:
        raise BadInput(f"activation={name!r} is unknown; {nearest(name, _ACTIVATIONS)}")
    return _ACTIVATIONS[name]()


def check_size(name: str, value: object) -> int:
    """`value` if it is a whole number of at least 1, else BadInput naming it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(f"{name}={value!r} must be a whole number of at least 1")
    return value
