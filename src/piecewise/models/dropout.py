"""Dropout with reproducible masks (UDL 9.3.3)."""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """h ← h ⊙ m / (1 − p), where each element of m is 0 with probability p, else 1; in evaluation h is unchanged.

    After `begin`, the masks are a function of (seed, call, index in the global batch), the same after a restart and on
    any number of ranks. Before `begin`, they come from torch's global generator.   h: (N, …) → (N, …).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._step: tuple[int, int, slice] | None = None
        self._layer = 0

    def begin(self, seed: int, global_size: int, share: slice) -> None:
        """Start a step: each call until the next `begin` gets examples `share` of a batch of `global_size`."""
        self._step, self._layer = (seed, global_size, share), 0

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return h
        if self._step is None:
            chance = torch.rand(h.shape, device=h.device)
        else:
            seed, global_size, share = self._step
            generator = torch.Generator(h.device).manual_seed(seed + self._layer)
            self._layer += 1
            chance = torch.rand(global_size, *h.shape[1:], generator=generator, device=h.device)[share]
        return h * (chance >= self.p) / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
