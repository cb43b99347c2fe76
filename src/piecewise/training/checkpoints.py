"""Lightning's checkpoints: reading them, and writing them at intervals and when a signal asks to stop."""

import io
import math
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from piecewise import stopping
from piecewise.training import checkpoint_files
from piecewise.training.module import TrainingModule

INTERVAL_SECONDS = 5.0  # between two checkpoints, at least
INTERVAL_FACTOR = 20  # the interval is also at least so many times as long as the last save took
STATE_KEY = "piecewise.checkpoints"  # in a checkpoint: the best weights so far, and whether training is over


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors and plain values, without code. The only `torch.load` of the project.

    Raises AlteredCheckpoint if the file does not match its seal.
    """
    return _load(checkpoint_files.read(path))


def _save(checkpoint: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def _load(data: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)  # type: ignore[no-any-return]


class SealedCheckpoints(CheckpointIO):
    """Saves through `checkpoint_files`. Lightning's own saver writes no digest and does not flush to disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        checkpoint_files.write(Path(path), _save(checkpoint))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return load_checkpoint(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Nothing to do: `checkpoint_files.write` deletes old checkpoints."""


class UnwrittenCheckpoints(SealedCheckpoints):
    """Saves nothing, but raises if a checkpoint could not be saved and loaded again: weights always can."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        _load(_save({key: value for key, value in checkpoint.items() if key not in ("state_dict", STATE_KEY)}))


class KeepCheckpoints(Checkpoint):
    """Saves what a training needs to go on, and remembers the weights with the lowest `val/nll`.

    After a step during which a signal came, it saves a checkpoint and raises Stopped. Lightning itself would end with
    exit code 0 after SIGTERM, as if training had finished.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best_nll = math.inf
        self.best_step = -1
        self.last_nll: float | None = None
        self.best_weights: dict[str, Tensor] | None = None  # on the CPU
        self._is_over = False  # decided by early stopping; Lightning's checkpoints do not hold it
        self._saved_step = -1
        self._next_save = time.monotonic() + INTERVAL_SECONDS

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        stopping.listen()  # again: Lightning has installed its own signal handlers
        trainer.should_stop = trainer.should_stop or self._is_over

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_last = trainer.is_last_batch
        # A training resumed after the last batch of an epoch, or the last step, would skip the validation that follows.
        is_validated = is_last and (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        if is_validated or trainer.global_step == trainer.max_steps:
            return
        # A checkpoint holds no accumulated gradients.
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not is_last:
            return
        self._save_if_asked(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        nll = pl_module.val_metrics["val/nll"]
        self.last_nll = nll
        if nll < self.best_nll:
            self.best_nll, self.best_step = nll, trainer.global_step
            self.best_weights = {name: value.cpu().clone() for name, value in pl_module.model.state_dict().items()}
        self._save_if_asked(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step != self._saved_step:
            self._save(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        best = {"nll": self.best_nll, "last_nll": self.last_nll, "step": self.best_step, "weights": self.best_weights}
        checkpoint[STATE_KEY] = {"best": best, "is_over": trainer.should_stop}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        best = checkpoint[STATE_KEY]["best"]
        self.best_nll, self.best_step, self.best_weights = best["nll"], best["step"], best["weights"]
        self.last_nll = best["last_nll"]
        self._is_over = checkpoint[STATE_KEY]["is_over"]
        self._saved_step = checkpoint["global_step"]

    def _save_if_asked(self, trainer: Trainer) -> None:
        """Save if any rank got a signal (all stop after the same step), or if the first rank's interval is over."""
        number = stopping.requested_stop()
        is_asked = number is not None or (trainer.is_global_zero and time.monotonic() >= self._next_save)
        if trainer.world_size > 1:
            is_asked = trainer.strategy.reduce_boolean_decision(is_asked, all=False)
            if is_asked and trainer.strategy.reduce_boolean_decision(number is not None, all=False):
                number = number or stopping.SIGNALS[-1]
        if is_asked:
            self._save(trainer)
        # Not after the last step: a resumed training would have nothing to do and would lose the last metrics.
        if number is not None and trainer.global_step != trainer.max_steps:
            raise stopping.Stopped(number)

    def _save(self, trainer: Trainer) -> None:
        started = time.monotonic()
        self._saved_step = trainer.global_step
        trainer.save_checkpoint(checkpoint_files.path_of(self.folder, self._saved_step))
        ended = time.monotonic()
        self._next_save = ended + max(INTERVAL_SECONDS, INTERVAL_FACTOR * (ended - started))
