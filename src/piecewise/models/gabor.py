"""The Gabor model: two parameters and one input; its loss has many minima (UDL 6.1.2)."""

import torch
from torch import Tensor, nn

from piecewise.errors import BadInput
from piecewise.models.activations import ForwardPass
from piecewise.shapes import check_shape

# Initial values are drawn uniformly from the ranges of UDL figure 6.4.
PHI0, PHI1 = (-10.0, 10.0), (2.5, 22.5)


class Gabor(nn.Module):
    """y = sin[φ₀ + 0.06 φ₁x] exp(−(φ₀ + 0.06 φ₁x)² / 32)   (UDL eq. 6.8).   x: (N, 1) → (N, 1), or ValueError.

    `phi0` and `phi1` are the initial values; one that is None is drawn under the job's seed.
    """

    def __init__(self, num_inputs: int, num_outputs: int, phi0: float | None = None, phi1: float | None = None) -> None:
        super().__init__()
        if (num_inputs, num_outputs) != (1, 1):
            raise BadInput(f"model=gabor has one input and one output; the data need {num_inputs} and {num_outputs}")
        self.phi0 = nn.Parameter(_start(phi0, *PHI0))
        self.phi1 = nn.Parameter(_start(phi1, *PHI1))

    def trace(self, x: Tensor) -> ForwardPass:
        """The forward pass as that of one hidden unit, whose input is the phase φ₀ + 0.06 φ₁x and whose output is y."""
        check_shape("x", x, ("N", 1))
        phase = self.phi0 + 0.06 * self.phi1 * x
        y = torch.sin(phase) * torch.exp(-phase.square() / 32)
        return ForwardPass(y, [phase], [y])

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x).output


def _start(given: float | None, low: float, high: float) -> Tensor:
    # Drawn even if it is given, so that φ₁ does not depend on whether φ₀ is given.
    drawn = low + (high - low) * torch.rand(())
    return drawn if given is None else torch.full_like(drawn, given)
