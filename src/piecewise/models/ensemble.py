"""An ensemble (UDL 9.3.2): the mean of several networks that were trained separately.

f[x] = (1/M) Σₘ fₘ[x]
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """The mean of the members' outputs, for classes the mean of logits. Raises ValueError if `members` is empty."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble needs at least one member")
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, …) → (N, D_o)."""
        return torch.stack([member(x) for member in self.members]).mean(dim=0)
