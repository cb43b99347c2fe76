"""DDP: how several ranks train one model, how long they wait for one another, and the errors when one is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy
from torch import nn

from piecewise import terminal
from piecewise.errors import TryAgain

START_TIMEOUT = timedelta(seconds=120)  # for ranks to begin, at least: a busy machine takes long to import torch
# The errors of a backend are plain RuntimeErrors. Most of gloo's name its source file; "pair closure" is in those of an
# already closed connection.
BACKEND_WORDS = ("gloo", "nccl", "timed out", "pair closure")


class DDPWithTimeouts(DDPStrategy):
    """DDP that gives up a silent rank after `timeout`, but waits at least START_TIMEOUT for ranks to begin."""

    def __init__(self, timeout: timedelta) -> None:
        super().__init__(timeout=max(timeout, START_TIMEOUT))
        self.rank_timeout = timeout

    def setup_distributed(self) -> None:
        super().setup_distributed()
        # torch.distributed.set_timeout does the same, and is missing in torch 2.11.
        torch.distributed.group.WORLD.set_timeout(self.rank_timeout)  # type: ignore[union-attr]

    def setup(self, trainer: pl.Trainer) -> None:
        super().setup(trainer)
        if self.is_global_zero and self.world_size > 1:
            assert self.lightning_module is not None
            warn_of_local_batch_norm(self.lightning_module)


def warn_of_local_batch_norm(module: nn.Module) -> None:
    """Warn if batch norm is not synchronised. Lightning replaces synchronised layers by nn.SyncBatchNorm in `setup`."""
    local = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    names = [name for name, layer in module.named_modules() if isinstance(layer, local)]
    if names:
        terminal.warn(
            f"batch norm is not synchronised ({names[0]} is the first): each process uses mean and variance of its own "
            "share of a batch, so the weights depend on the number of processes"
        )


@contextmanager
def rank_failures_explained(trainer: pl.Trainer) -> Iterator[None]:
    """Raise TryAgain instead, if another rank died or was silent for longer than `trainer.timeout`."""
    try:
        yield
    except RuntimeError as error:
        message = str(error)
        is_of_backend = any(word in message.lower() for word in BACKEND_WORDS)
        if trainer.world_size > 1 and (is_of_backend or isinstance(error, torch.distributed.DistError)):
            raise TryAgain(f"rank {trainer.global_rank}: another rank was lost: {message.splitlines()[0]}") from error
        raise
