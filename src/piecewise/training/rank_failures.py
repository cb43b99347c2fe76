"""What a rank meets when another one is lost: errors of the backends, which no type tells from others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch

from piecewise.errors import TryAgain

# Most of gloo's errors name its source file; those of a connection that another wait has already given up do not.
WORDS = ("gloo", "nccl", "timed out", "pair closure")


@contextmanager
def lost_ranks(trainer: pl.Trainer) -> Iterator[None]:
    """What the others say of a rank that died, or that froze for longer than `trainer.timeout`. Raises TryAgain."""
    try:
        yield
    except RuntimeError as error:
        what = str(error)
        is_lost = isinstance(error, torch.distributed.DistError) or any(word in what.lower() for word in WORDS)
        if trainer.world_size > 1 and is_lost:
            raise TryAgain(f"rank {trainer.global_rank}: another one was lost: {what.splitlines()[0]}") from error
        raise
