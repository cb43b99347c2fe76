"""The way that the parameters of a small model take, for figures of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from piecewise.durable import write_atomic

MAX_PARAMETERS = 1000  # of a model whose path is kept
EARLY = 40  # steps at the start that are all kept: there most of it happens
POINTS = 160  # about so many of the steps after


class ParameterPath(pl.Callback):
    """Keeps the parameters before training, after the first steps, and then at equal distances to the end.

    It is part of every checkpoint, so that a resumed training has the whole path.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.parameters: list[Tensor] = []
        self._total = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._total = int(trainer.estimated_stepping_batches)
        if not self.steps:
            self._keep(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, every = trainer.global_step, max(1, self._total // POINTS)
        # With accumulated gradients several batches belong to one step.
        if step != self.steps[-1] and (step <= EARLY or step % every == 0 or step == self._total):
            self._keep(trainer, pl_module)

    def _keep(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        model = pl_module.model
        self.steps.append(trainer.global_step)
        self.parameters.append(parameters_to_vector(model.parameters()).detach().cpu().clone())  # type: ignore[union-attr]

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "parameters": self.parameters}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps, self.parameters = list(state_dict["steps"]), list(state_dict["parameters"])

    def write(self, path: Path) -> None:
        """As safetensors: `steps` (T,) and `parameters` (T, P), in the order of the model's own."""
        write_atomic(path, save({"steps": torch.tensor(self.steps), "parameters": torch.stack(self.parameters)}))
