"""Shallow neural networks: one hidden layer (UDL chapter 3)."""

from torch import Tensor, nn

from piecewise.models.activations import ForwardPass, named_activation
from piecewise.models.initialisation import initialise
from piecewise.models.sizes import check_size
from piecewise.shapes import as_rows


class Shallow(nn.Module):
    """h_d = a[θ_d0 + Σ_i θ_di x_i],   y_j = φ_j0 + Σ_d φ_jd h_d   (UDL eq. 3.3, 3.4; 3.11, 3.12 for vectors).

    `hidden` holds θ and `output` holds φ.   x: (N, …) with D_i numbers each → (N, D_o), or ValueError.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        width: int = 3,
        activation: str = "relu",
        init: str = "default",
        init_variance: float | None = None,
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(num_inputs, check_size("model.width", width))
        self.activation = named_activation(activation)
        self.output = nn.Linear(width, num_outputs)
        initialise(self, init, init_variance)

    def trace(self, x: Tensor) -> ForwardPass:
        """The forward pass with its pre-activations θ₀ + θx and its activations h."""
        pre_activation = self.hidden(as_rows("x", x, self.hidden.in_features))
        h = self.activation(pre_activation)
        return ForwardPass(self.output(h), [pre_activation], [h])

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x).output
