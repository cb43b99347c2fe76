"""Deep neural networks: K hidden layers (UDL chapter 4)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from piecewise.errors import BadInput
from piecewise.models.activations import ForwardPass, named_activation
from piecewise.models.dropout import Dropout
from piecewise.models.initialisation import initialise
from piecewise.models.normalisation import named_norm
from piecewise.models.sizes import check_size
from piecewise.shapes import as_rows


class Mlp(nn.Module):
    """h₁ = a[β₀ + Ω₀x],   h_k = a[β_{k−1} + Ω_{k−1} h_{k−1}],   y = β_K + Ω_K h_K   (UDL eq. 4.15).

    `width` is D for all `depth` hidden layers, or a list with the width of each (then `depth` is its length).
    `norm` is applied to pre-activations, `dropout` to activations; `residual` adds h_{k−1} to h_k from the second
    layer on, and needs equal widths.   x: (N, …) with D_i numbers each → (N, D_o), or ValueError.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        depth: int = 2,
        width: int | Sequence[int] = 100,
        activation: str = "relu",
        norm: str = "none",
        dropout: float = 0.0,
        residual: bool = False,
        init: str = "default",
        init_variance: float | None = None,
    ) -> None:
        super().__init__()
        sizes = list(width) if isinstance(width, Sequence) else [width] * check_size("model.depth", depth)
        if not sizes:
            raise BadInput("model.width=[] has no hidden layer; model=linear is the network without one")
        if not 0 <= dropout < 1:
            raise BadInput(f"model.dropout={dropout} must be at least 0 and less than 1")
        if residual and len(set(sizes)) > 1:
            raise BadInput(f"model.width={sizes} must be one number with model.residual=true: h_k is added to h_k−1")
        widths = [num_inputs, *(check_size("model.width", size) for size in sizes)]
        self.num_inputs = num_inputs
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.norms = nn.ModuleList(named_norm(norm, size) for size in sizes)
        self.activation = named_activation(activation)
        self.dropout = Dropout(dropout) if dropout else nn.Identity()
        self.residual = residual
        self.output = nn.Linear(widths[-1], num_outputs)
        initialise(self, init, init_variance)

    def trace(self, x: Tensor) -> ForwardPass:
        """The forward pass with the pre-activations, after their norm, and activations of every hidden layer."""
        pre_activations: list[Tensor] = []
        activations: list[Tensor] = []
        h = as_rows("x", x, self.num_inputs)
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            pre_activations.append(norm(layer(h)))
            a = self.dropout(self.activation(pre_activations[-1]))
            h = h + a if self.residual and activations else a
            activations.append(h)
        return ForwardPass(self.output(h), pre_activations, activations)

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x).output
