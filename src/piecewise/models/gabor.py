"""The Gabor model: two parameters, one input, and a loss with many minima (UDL 6.1.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from piecewise.errors import BadInput
from piecewise.models.activations import ForwardPass
from piecewise.shapes import check_shape

# Starts are drawn uniformly from the part of the loss surface that UDL figure 6.4 shows.
PHI0, PHI1 = (-10.0, 10.0), (2.5, 22.5)


class Gabor(nn.Module):
    """y = sin[φ₀ + 0.06 φ₁x] exp(−(φ₀ + 0.06 φ₁x)² / 32)   (UDL eq. 6.8).   x: (N, 1) → (N, 1), or ValueError.

    Training starts at `phi0` and `phi1`; a missing one is drawn under the job's seed.
    """

    def __init__(self, num_inputs: int, num_outputs: int, phi0: float | None = None, phi1: float | None = None) -> None:
        super().__init__()
        if (num_inputs, num_outputs) != (1, 1):
            raise BadInput(f"model=gabor has one input and one output; here are {num_inputs} and {num_outputs}")
        self.phi0 = nn.Parameter(_start(phi0, *PHI0))
        self.phi1 = nn.Parameter(_start(phi1, *PHI1))

    def trace(self, x: Tensor) -> ForwardPass:
        """The forward pass, with the phase φ₀ + 0.06 φ₁x and the wave as input and output of a single unit."""
        check_shape("x", x, ("N", 1))
        phase = self.phi0 + 0.06 * self.phi1 * x
        y = torch.sin(phase) * torch.exp(-phase.square() / 32)
        return ForwardPass(y, [phase], [y])

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x).output


def _start(given: float | None, low: float, high: float) -> Tensor:
    drawn = low + (high - low) * torch.rand(())  # always both: the drawn φ₁ must not depend on whether φ₀ is given
    return drawn if given is None else torch.full_like(drawn, given)
