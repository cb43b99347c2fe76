"""The progress bar: epoch, loss, validation metric, time left."""

from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

from piecewise.training.module import TrainingModule

REDRAW_SECONDS = 0.2


class Progress(pl.Callback):
    """One bar for the whole training."""

    def __init__(self, label: str, module: TrainingModule, num_steps: int) -> None:
        self.label = label
        self.module = module
        self.num_steps = num_steps
        self._bar: tqdm[Any] = tqdm(disable=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._bar = tqdm(
            total=self.num_steps,
            initial=trainer.global_step,  # above 0 in a resumed training
            desc=self.label,
            unit="step",
            mininterval=REDRAW_SECONDS,
            dynamic_ncols=True,
            leave=False,
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # `update` returns whether the bar is redrawn. Lightning's own `outputs` hold a share of an accumulated step.
        if self._bar.update(trainer.global_step - self._bar.n):
            shown = {"epoch": trainer.current_epoch, "loss": f"{self.module.batch_loss:.4g}"}
            shown |= {key: f"{value:.4g}" for key, value in self.module.val_metrics.items()}
            self._bar.set_postfix(shown, refresh=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._bar.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._bar.close()
