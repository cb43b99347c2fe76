"""Loaders for data that stays on the training device: a batch is one gather by index."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from piecewise.data.randomness import epoch_order, generator
from piecewise.data.spec import Examples
from piecewise.errors import BadInput

CHUNK_SIZE = 1000  # examples that are evaluated together
WHOLE = slice(None)


class Batch:
    """One rank's share of a global batch of `global_size` examples.

    In an evaluation the whole data set is the global batch, and a chunk is a share of it. It is no tuple and no
    dataclass: in those Lightning would convert every tensor to the model's precision, the targets too.
    """

    __slots__ = ("global_size", "number", "seed", "share", "step_size", "x", "y")

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        global_size: int,
        step_size: int = 0,
        seed: int = 0,
        number: int = 0,
        share: slice = WHOLE,
    ) -> None:
        self.x = x
        self.y = y
        self.global_size = global_size
        self.step_size = step_size  # examples in all batches, on all ranks, of the optimizer step; 0 in an evaluation
        self.seed = seed  # of the job
        self.number = number  # of this global batch in the training; random numbers depend on it
        self.share = share  # the positions of these examples in the global batch


def check_shares(batch_size: int, num_examples: int, num_ranks: int) -> None:
    """Raise BadInput if the ranks cannot have equal shares of a batch. One batch of all examples may be unequal."""
    if batch_size < num_examples and batch_size % num_ranks:
        raise BadInput(
            f"batch_size={batch_size} cannot be cut into equal shares for {num_ranks} processes (trainer.devices times "
            f"trainer.num_nodes); allowed: a multiple of {num_ranks}, or all"
        )


class TrainLoader:
    """Every example once per epoch, in the order `epoch_order(N, seed, epoch)`, cut into global batches.

    Rank r of W takes every W-th example of each global batch, so the global batches do not depend on W.
    `state_dict` is two counters, and resuming in the middle of an epoch is exact.
    An epoch ends after `limit` batches, and every epoch has its own order. An optimizer step takes `accumulated`
    batches, the last one of an epoch those that are left.
    `max_shift` moves images by up to that many pixels each way, drawn from the seed and the step.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        seed: int,
        max_shift: int = 0,
        rank: int = 0,
        world_size: int = 1,
        limit: int | None = None,
        accumulated: int = 1,
    ) -> None:
        check_shares(batch_size, len(examples), world_size)
        self.examples = examples
        self.batch_size = batch_size
        self.num_whole = math.ceil(len(examples) / batch_size)  # batches of an epoch without a limit
        self.limit = limit or self.num_whole
        self.accumulated = accumulated
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.windows = _shifted_windows(examples.x, max_shift) if max_shift else None
        self.epoch = 0
        self.position = 0  # global batches of this epoch already yielded

    def __len__(self) -> int:
        return self.limit

    def __iter__(self) -> Iterator[Batch]:
        # The next epoch starts here, not after the last `yield`: a consumer that counts batches stops at that `yield`.
        if self.position == self.limit:
            self.epoch, self.position = self.epoch + 1, 0
        # Copied to the device once per epoch: a copy at each step would wait for the previous step.
        order = epoch_order(len(self.examples), self.seed, self.epoch).to(self.examples.x.device)
        for batch in range(self.position, self.limit):
            self.position = batch + 1
            yield self._batch(order[batch * self.batch_size : (batch + 1) * self.batch_size], batch)

    def _batch(self, index: Tensor, number: int) -> Batch:
        mine = slice(self.rank, None, self.world_size)
        rows = index[mine]
        y = self.examples.y[rows]
        total = self.epoch * self.num_whole + number
        facts = len(index), self._step_size(number), self.seed, total, mine
        if self.windows is None:
            return Batch(self.examples.x[rows], y, *facts)
        rng = generator(self.seed, "shift", total)
        # Drawn for the whole global batch, so that an example's shift does not depend on the number of ranks.
        shifts = torch.randint(self.windows.shape[2], (len(index), 2), generator=rng)[mine].to(rows.device)
        return Batch(self.windows[rows, :, shifts[:, 0], shifts[:, 1]], y, *facts)

    def _step_size(self, number: int) -> int:
        """How many examples the optimizer step has to which batch `number` of an epoch belongs."""
        first = number - number % self.accumulated
        after = min(first + self.accumulated, self.limit)
        return min(after * self.batch_size, len(self.examples)) - first * self.batch_size

    @property
    def num_epochs(self) -> int:
        """The number of epochs that are complete."""
        return self.epoch + (self.position == self.limit)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


class ChunkLoader:
    """Examples in order, in fixed chunks of the unpadded set; rank r of W takes every W-th whole chunk.

    A rank without a chunk gets an empty one, because Lightning needs at least one batch on each rank.
    The last bits of an output depend on the batch it is computed in, so the chunks are the same on any number of ranks.
    """

    def __init__(self, examples: Examples, chunk_size: int = CHUNK_SIZE, rank: int = 0, world_size: int = 1) -> None:
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
