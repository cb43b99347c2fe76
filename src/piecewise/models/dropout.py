"""Dropout with reproducible masks (UDL 9.3.3)."""

import torch
from torch import Tensor, nn

from piecewise.data.randomness import derive_seed


class Dropout(nn.Module):
    """h ← h ⊙ m / (1 − p), where each element of m is 0 with probability p, else 1; in evaluation h is unchanged.

    After `begin`, the masks are a function of (seed, batch, layer, call, index in the global batch), the same after a
    restart and on any number of ranks. Before it, they come from torch's global generator.   h: (N, …) → (N, …).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._batch: tuple[tuple[int, int, int], int, slice] | None = None
        self._call = 0

    def begin(self, seed: int, batch: int, layer: int, global_size: int, share: slice) -> None:
        """Start a batch: each call until the next `begin` gets examples `share` of a batch of `global_size`.

        `batch` and `layer` are numbers that tell this batch from others, and this layer from others of the model.
        """
        self._batch, self._call = ((seed, batch, layer), global_size, share), 0

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return h
        if self._batch is None:
            chance = torch.rand(h.shape, device=h.device)
        else:
            (seed, *place), global_size, share = self._batch
            own = derive_seed(seed, "dropout", *place, self._call)
            self._call += 1
            generator = torch.Generator(h.device).manual_seed(own)
            chance = torch.rand(global_size, *h.shape[1:], generator=generator, device=h.device)[share]
        return h * (chance >= self.p) / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
