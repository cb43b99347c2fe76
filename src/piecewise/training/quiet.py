"""Lightning without what it has to say about itself."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning  # noqa: F401  its first import sets the levels that are changed here


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's tips, and its warnings about loaders that have no workers because they need none."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*TreeSpec.*")
        warnings.filterwarnings("ignore", message=".*could not find the monitored key.*")  # no validation: no best
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
        # Of kernels with one input channel DDP takes the strides of channels-last for others; they are the same order.
        warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")
        # Lightning makes DDP on a stream of its own, as PyTorch advises.
        warnings.filterwarnings("ignore", message=".*AccumulateGrad node's stream does not match.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
