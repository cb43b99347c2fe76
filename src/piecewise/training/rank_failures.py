"""Recognises the errors that a rank meets when another rank is lost. Most are plain RuntimeErrors of the backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch

from piecewise.errors import TryAgain

# Most of gloo's errors name its source file; "pair closure" is in those of an already closed connection.
BACKEND_WORDS = ("gloo", "nccl", "timed out", "pair closure")


@contextmanager
def rank_failures_explained(trainer: pl.Trainer) -> Iterator[None]:
    """Raise TryAgain instead, if another rank died or was silent for longer than `trainer.timeout`."""
    try:
        yield
    except RuntimeError as error:
        message = str(error)
        is_lost = isinstance(error, torch.distributed.DistError) or _is_of_backend(message)
        if trainer.world_size > 1 and is_lost:
            raise TryAgain(f"rank {trainer.global_rank}: another rank was lost: {message.splitlines()[0]}") from error
        raise


def _is_of_backend(message: str) -> bool:
    return any(word in message.lower() for word in BACKEND_WORDS)
