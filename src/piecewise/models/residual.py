"""Residual networks: each block adds to its input (UDL chapter 11)."""

from torch import Tensor, nn

from piecewise.models.activations import ForwardPass, named_activation
from piecewise.models.initialisation import initialise
from piecewise.models.normalisation import named_norm
from piecewise.models.sizes import check_size
from piecewise.shapes import as_rows


class Residual(nn.Module):
    """h₀ = β + Ωx,   h_k = h_{k−1} + β_k + Ω_k a[norm[h_{k−1}]],   y = β′ + Ω′ h_K   (UDL eq. 11.4, 11.5).

    The activation stands before the linear map, so that a block can also subtract.
    x: (N, …) with D_i numbers each → (N, D_o), or ValueError.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        depth: int = 4,
        width: int = 100,
        activation: str = "relu",
        norm: str = "none",
        init: str = "default",
        init_variance: float | None = None,
    ) -> None:
        super().__init__()
        check_size("model.width", width)
        self.input = nn.Linear(num_inputs, width)
        self.norms = nn.ModuleList(named_norm(norm, width) for _ in range(check_size("model.depth", depth)))
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.activation = named_activation(activation)
        self.output = nn.Linear(width, num_outputs)
        initialise(self, init, init_variance)

    def trace(self, x: Tensor) -> ForwardPass:
        """The forward pass with norm[h_{k−1}] and a[norm[h_{k−1}]] of every block."""
        pre_activations: list[Tensor] = []
        activations: list[Tensor] = []
        h = self.input(as_rows("x", x, self.input.in_features))
        for norm, block in zip(self.norms, self.blocks, strict=True):
            pre_activations.append(norm(h))
            activations.append(self.activation(pre_activations[-1]))
            h = h + block(activations[-1])
        return ForwardPass(self.output(h), pre_activations, activations)

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x).output
