"""Linear regression (UDL 2.2)."""

from torch import Tensor, nn

from piecewise.models.activations import ForwardPass
from piecewise.models.initialisation import initialise
from piecewise.shapes import as_rows


class Linear(nn.Module):
    """y = β₀ + β x  (UDL eq. 2.4).   x: (N, …) with D_i numbers each → (N, D_o), or ValueError."""

    def __init__(
        self, num_inputs: int, num_outputs: int, init: str = "default", init_variance: float | None = None
    ) -> None:
        super().__init__()
        self.output = nn.Linear(num_inputs, num_outputs)
        initialise(self, init, init_variance)

    def trace(self, x: Tensor) -> ForwardPass:
        """The forward pass; there are no hidden layers."""
        return ForwardPass(self.output(as_rows("x", x, self.output.in_features)), [], [])

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x).output
