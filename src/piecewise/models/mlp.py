"""Deep neural networks: K hidden layers (UDL chapter 4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from piecewise.errors import BadInput
from piecewise.models.activations import ForwardPass, check_size, named_activation


class Mlp(nn.Module):
    """h₁ = a[β₀ + Ω₀x],   h_k = a[β_{k−1} + Ω_{k−1} h_{k−1}],   y = β_K + Ω_K h_K   (UDL eq. 4.15).

    `width` is D for all `depth` hidden layers, or a list with the width of each (then `depth` is its length).
    x: (N, …) with D_i numbers each → (N, D_o).
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        depth: int = 2,
        width: int | Sequence[int] = 100,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        sizes = list(width) if isinstance(width, Sequence) else [width] * check_size("model.depth", depth)
        if not sizes:
            raise BadInput("model.width=[] has no hidden layer; model=linear is the network without one")
        widths = [num_inputs, *(check_size("model.width", size) for size in sizes)]
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.activation = named_activation(activation)
        self.output = nn.Linear(widths[-1], num_outputs)

    def trace(self, x: Tensor) -> ForwardPass:
        """The forward pass with the pre-activations and activations of every hidden layer."""
        pre_activations: list[Tensor] = []
        activations: list[Tensor] = []
        h = x.flatten(1)
        for layer in self.hidden:
            pre_activations.append(layer(h))
            h = self.activation(pre_activations[-1])
            activations.append(h)
        return ForwardPass(self.output(h), pre_activations, activations)

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x).output
