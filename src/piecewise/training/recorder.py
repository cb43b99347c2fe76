"""Writes what Lightning measures into the run's journal."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from piecewise.errors import NonFiniteLoss
from piecewise.journal.writer import Journal
from piecewise.training.module import TrainingModule

PENDING = 256  # readings held on the device before they are fetched in one go


class Recorder(pl.Callback):
    """`train/nll` as the mean over every `every_n_steps` steps, validation metrics after each validation.

    Readings are fetched from the device in groups. Raises NonFiniteLoss when one of them is NaN or infinite.
    """

    def __init__(self, journal: Journal | None, every_n_steps: int) -> None:
        self.journal = journal
        self.every_n_steps = every_n_steps
        self._readings: list[tuple[int, Tensor]] = []
        self._last_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # An interval longer than an epoch would swallow the readings of a short run.
        self.every_n_steps = max(1, min(self.every_n_steps, int(trainer.num_training_batches)))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step % self.every_n_steps == 0 and step != self._last_step:
            self._last_step = step  # with accumulated gradients several batches belong to one step
            assert isinstance(pl_module, TrainingModule)
            self._readings.append((step, pl_module.take_train_nll()))
            if len(self._readings) >= PENDING:
                self._write(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self._write(trainer)
        assert isinstance(pl_module, TrainingModule)
        if self.journal is not None:
            self.journal.metrics(trainer.global_step, pl_module.val_metrics)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        if pl_module.train_nll:
            self._readings.append((trainer.global_step, pl_module.take_train_nll()))
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if not self._readings:
            return
        steps, tensors = zip(*self._readings, strict=True)
        self._readings = []
        sums = trainer.strategy.reduce(torch.stack(tensors), reduce_op="sum")  # over ranks
        assert isinstance(sums, Tensor)
        for step, (total, count) in zip(steps, sums.tolist(), strict=True):
            nll = total / count
            if self.journal is not None:
                self.journal.metrics(step, {"train/nll": nll})
            if not math.isfinite(nll):
                raise NonFiniteLoss(f"train/nll is {nll} at step {step}; the run was stopped. A smaller lr may help.")
