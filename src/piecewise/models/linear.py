"""Linear regression (UDL 2.2)."""

from __future__ import annotations

from torch import Tensor, nn


class Linear(nn.Module):
    """y = β₀ + β x  (UDL eq. 2.4).   x: (N, …) with D_i numbers each → (N, D_o)."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.output = nn.Linear(num_inputs, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(x.flatten(1))  # type: ignore[no-any-return]
