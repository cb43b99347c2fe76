"""Checkpoints as Lightning writes and reads them, and when it does: now and then, and when a signal asks to stop."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from piecewise import stopping
from piecewise.training import checkpoint_files
from piecewise.training.module import TrainingModule
from piecewise.training.recorder import Recorder

SECONDS = 5.0  # between two checkpoints, unless they are slow to write:
SHARE = 20  # at least so many times as long as the last one took
STATE = "piecewise.checkpoints"  # in a checkpoint: the best weights so far, and whether training is over


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors and plain values; nothing in it can run. The only `torch.load` of the project.

    Raises AlteredCheckpoint if its bytes are not those that were written.
    """
    data = io.BytesIO(checkpoint_files.read(path))
    return torch.load(data, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]


class SealedCheckpoints(CheckpointIO):
    """Lightning's own saver writes its temporary file elsewhere, without a digest, and flushes nothing."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        checkpoint_files.write(Path(path), buffer.getvalue())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return load_checkpoint(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """`generations` decides what goes."""


class KeepCheckpoints(Checkpoint):
    """Saves all that a training needs to go on, and remembers the weights with the lowest `val/nll`.

    After the step during which a signal came, everything measured is written, a checkpoint saved and Stopped raised:
    Lightning itself would answer SIGTERM with exit code 0, which looks like a training that has finished.
    """

    def __init__(self, folder: Path, recorder: Recorder) -> None:
        self.folder = folder
        self.recorder = recorder
        self.best_nll = math.inf
        self.best_step = -1
        self.last_nll: float | None = None
        self.best_weights: dict[str, Tensor] | None = None  # on the CPU
        self._is_over = False  # early stopping has decided, which Lightning forgets
        self._saved_step = -1
        self._due = time.monotonic() + SECONDS

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        stopping.listen()  # once more: Lightning has put its own handlers in front
        trainer.should_stop = trainer.should_stop or self._is_over

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_last = trainer.is_last_batch
        # A training that goes on from the last batch of an epoch would leave out the validation that follows it.
        if is_last and (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0:
            return
        # Gradients that wait for the next batch are in no checkpoint.
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not is_last:
            return
        self._save_if_asked(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        nll = pl_module.val_metrics["val/nll"]
        self.last_nll = nll
        if nll < self.best_nll:
            self.best_nll, self.best_step = nll, trainer.global_step
            self.best_weights = {name: value.cpu().clone() for name, value in pl_module.model.state_dict().items()}
        self._save_if_asked(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step != self._saved_step:
            self._save(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        best = {"nll": self.best_nll, "last_nll": self.last_nll, "step": self.best_step, "weights": self.best_weights}
        checkpoint[STATE] = {"best": best, "is_over": trainer.should_stop}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        best = checkpoint[STATE]["best"]
        self.best_nll, self.best_step, self.best_weights = best["nll"], best["step"], best["weights"]
        self.last_nll = best["last_nll"]
        self._is_over = checkpoint[STATE]["is_over"]
        self._saved_step = checkpoint["global_step"]

    def _save_if_asked(self, trainer: pl.Trainer) -> None:
        """By a signal to any rank, since all must stop after the same step; or by the clock of the first."""
        number = stopping.asked()
        is_asked = number is not None or (trainer.is_global_zero and time.monotonic() >= self._due)
        if trainer.world_size > 1:
            is_asked = trainer.strategy.reduce_boolean_decision(is_asked, all=False)
            if is_asked and trainer.strategy.reduce_boolean_decision(number is not None, all=False):
                number = number or stopping.SIGNALS[-1]
        if is_asked:
            self._save(trainer)
        # After the very last step a restart would find nothing to do, and so not even read what was measured last.
        if number is not None and trainer.global_step != trainer.max_steps:
            raise stopping.Stopped(number)

    def _save(self, trainer: pl.Trainer) -> None:
        self.recorder.write(trainer)
        self.recorder.flush()  # first: what is measured before a checkpoint is not measured again
        began = time.monotonic()
        self._saved_step = trainer.global_step
        trainer.save_checkpoint(checkpoint_files.path_of(self.folder, self._saved_step))
        ended = time.monotonic()
        self._due = ended + max(SECONDS, SHARE * (ended - began))
