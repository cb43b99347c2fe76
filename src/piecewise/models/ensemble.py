"""An ensemble (UDL 9.3.2): several separately trained networks predict together.

f[x] = (1/M) Σₘ fₘ[x]
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """The mean of the members' outputs; for classes, of their logits. Raises ValueError without a member."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble needs at least one member")
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, …) → (N, D_o)."""
        return torch.stack([member(x) for member in self.members]).mean(dim=0)
