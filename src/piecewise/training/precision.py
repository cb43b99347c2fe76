"""A model computes in the precision that was asked for; losses and metrics compute in float32 or better."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytorch_lightning as pl
import torch
from torch import Tensor

FULL = ("32-true", "64-true")


def widen(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Floating-point values in float32, or in `dtype` if that is wider; whole numbers as they are."""
    return values.to(torch.promote_types(dtype, torch.float32)) if values.is_floating_point() else values


def full_precision(trainer: pl.Trainer) -> AbstractContextManager[None]:
    """For a loss: no autocast and no default type in half precision, which Lightning sets around a whole step."""
    return nullcontext() if trainer.precision in FULL else _full_precision(trainer.strategy.root_device.type)


@contextmanager
def _full_precision(device: str) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.autocast(device, enabled=False):
            yield
    finally:
        torch.set_default_dtype(before)
