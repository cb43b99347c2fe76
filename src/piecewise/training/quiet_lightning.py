"""Lightning without its tips and without warnings that do not apply here."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning  # noqa: F401  its first import sets the log levels that are changed here


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's loggers, and warnings by Lightning and torch that piecewise has an answer to."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # data in memory needs none
        warnings.filterwarnings("ignore", message=".*TreeSpec.*")
        # For kernels with one input channel, channels-last strides differ from DDP's but mean the same order.
        warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")
        # Lightning builds DDP on a separate CUDA stream, as PyTorch advises.
        warnings.filterwarnings("ignore", message=".*AccumulateGrad node's stream does not match.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
