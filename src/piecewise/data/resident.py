"""Loaders for data that lives on the training device: a batch is one indexed gather, its order a pure function."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from piecewise.data.randomness import derive_seed, epoch_order, generator
from piecewise.data.spec import Examples
from piecewise.errors import BadInput

CHUNK = 1000  # examples that are evaluated together


class Batch(NamedTuple):
    """One rank's share of a global batch of `global_size` examples, which ones, and a seed for what is drawn.

    A chunk of an evaluation is a share of the whole set.
    """

    x: Tensor
    y: Tensor
    global_size: int
    seed: int = 0  # of this step, the same on every rank
    share: slice = slice(None)


def check_shares(batch_size: int, num_examples: int, num_ranks: int) -> None:
    """Raise BadInput if ranks cannot have equal shares of a batch that is not all of the examples."""
    if batch_size < num_examples and batch_size % num_ranks:
        raise BadInput(
            f"batch_size={batch_size} cannot be cut into equal shares for {num_ranks} processes (trainer.devices times "
            f"trainer.num_nodes); allowed: a multiple of {num_ranks}, or all"
        )


class TrainLoader:
    """Every example once per epoch, in the order `epoch_order(N, seed, epoch)`, cut into global batches.

    Rank r of W takes every W-th example of each global batch, so the global batches do not depend on W.
    The position is a counter: `state_dict` is two numbers and resuming in mid-epoch is exact.
    With a smaller `limit` an epoch ends after so many batches, and the next one begins with an order of its own.
    With `max_shift`, images move by up to that many pixels each way, as a function of (seed, step, place in the batch).
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        seed: int,
        max_shift: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_shares(batch_size, len(examples), world_size)
        self.examples = examples
        self.batch_size = batch_size
        self.limit = len(self)
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.windows = _shifted_windows(examples.x, max_shift) if max_shift else None
        self.epoch = 0
        self.position = 0  # global batches of this epoch already handed out

    def __len__(self) -> int:
        return math.ceil(len(self.examples) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        # The epoch rolls here and not after the last `yield`: a consumer that counts batches never asks for one more.
        if self.position == self.limit:
            self.epoch, self.position = self.epoch + 1, 0
        # On the device once per epoch: a copy at every step would wait for the step before.
        order = epoch_order(len(self.examples), self.seed, self.epoch).to(self.examples.x.device)
        for batch in range(self.position, self.limit):
            self.position = batch + 1
            yield self._batch(order[batch * self.batch_size : (batch + 1) * self.batch_size], batch)

    def _batch(self, index: Tensor, number: int) -> Batch:
        mine = slice(self.rank, None, self.world_size)
        rows = index[mine]
        y = self.examples.y[rows]
        step = self.epoch * len(self) + number
        seed = derive_seed(self.seed, "masks", step)
        if self.windows is None:
            return Batch(self.examples.x[rows], y, len(index), seed, mine)
        chance = generator(self.seed, "shift", step)
        # Drawn for the whole global batch and then cut, so that an example moves alike on any number of ranks.
        shifts = torch.randint(self.windows.shape[2], (len(index), 2), generator=chance)[mine].to(rows.device)
        return Batch(self.windows[rows, :, shifts[:, 0], shifts[:, 1]], y, len(index), seed, mine)

    @property
    def num_epochs(self) -> int:
        """How often the examples have been gone through."""
        return self.epoch + (self.position == self.limit)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


class ChunkLoader:
    """Examples in order, in fixed chunks of the unpadded set; rank r of W takes every W-th whole chunk.

    A rank that is left without one gets a chunk of no examples, since Lightning wants at least one batch from each.
    The last places of a floating-point output depend on the batch it was computed in: a fixed grid fixes them.
    """

    def __init__(self, examples: Examples, chunk_size: int = CHUNK, rank: int = 0, world_size: int = 1) -> None:
        self.examples = examples
        self.chunk_size = chunk_size
        self.starts = range(0, len(examples), chunk_size)[rank::world_size] or range(len(examples), len(examples) + 1)

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Batch]:
        for start in self.starts:
            chunk = slice(start, start + self.chunk_size)
            yield Batch(self.examples.x[chunk], self.examples.y[chunk], len(self.examples), share=chunk)


def _shifted_windows(x: Tensor, max_shift: int) -> Tensor:
    """Views of zero-padded images, (N, C, 2s + 1, 2s + 1, H, W): [i, :, a, b] is image i moved by (s − a, s − b)."""
    padded = functional.pad(x, (max_shift,) * 4)
    return padded.unfold(2, x.shape[2], 1).unfold(3, x.shape[3], 1)
