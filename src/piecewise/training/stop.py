"""Ending a training in order when a signal asks for it: a checkpoint, then out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from piecewise import stopping
from piecewise.training.recorder import Recorder

AGREE_EVERY = 10  # steps, on several ranks: to ask the others costs a synchronisation


class StopInOrder(pl.Callback):
    """After the step during which a signal came: everything measured is written, `checkpoint` saved, Stopped raised.

    Lightning itself would answer SIGTERM with exit code 0, which looks like a training that has finished.
    """

    def __init__(self, checkpoint: Path, recorder: Recorder) -> None:
        self.checkpoint = checkpoint
        self.recorder = recorder

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        stopping.listen()  # once more: Lightning has put its own handlers in front

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # A training that goes on from the last batch of an epoch would leave out the validation that follows it.
        if trainer.is_last_batch and (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0:
            return
        if trainer.world_size > 1 and (batch_idx + 1) % AGREE_EVERY and not trainer.is_last_batch:
            return
        number = self._asked(trainer)
        if number is not None:
            self.recorder.write(trainer)
            trainer.save_checkpoint(self.checkpoint)
            raise stopping.Stopped(number)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        number = self._asked(trainer)
        if number is not None:  # the validation before has left a checkpoint
            raise stopping.Stopped(number)

    def _asked(self, trainer: pl.Trainer) -> int | None:
        """The signal that came, to this rank or, since all must stop after the same step, to another."""
        number = stopping.asked()
        if trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(number is not None, all=False):
            return number or stopping.SIGNALS[-1]
        return number
