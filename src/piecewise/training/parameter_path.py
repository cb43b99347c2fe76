"""The path of a small model's parameters during training, for figures."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from safetensors.torch import save
from torch import Tensor

from piecewise.durable import write_atomic

MAX_PARAMETERS = 1000  # larger models keep no path
NUM_FIRST_STEPS = 40  # all are kept: parameters move most at the start
NUM_LATER_STEPS = 160  # about so many of the later steps are kept, at equal distances


class ParameterPath(pl.Callback):
    """Keeps the parameters before training, after each of the first steps, and at equal distances until the end.

    Checkpoints hold the path, so that a resumed training has all of it.
    """

    def __init__(self, num_steps: int) -> None:
        self.steps: list[int] = []
        self.parameters: list[Tensor] = []
        self._total = num_steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.steps:
            self._keep(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, every = trainer.global_step, max(1, self._total // NUM_LATER_STEPS)
        # With accumulated gradients, one step has several batches.
        if step != self.steps[-1] and (step <= NUM_FIRST_STEPS or step % every == 0 or step == self._total):
            self._keep(trainer, pl_module)

    def _keep(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.steps.append(trainer.global_step)
        # Weights of convolutions are not contiguous, which torch's parameters_to_vector demands.
        values = [parameter.detach().reshape(-1) for parameter in pl_module.model.parameters()]  # type: ignore[union-attr]
        self.parameters.append(torch.cat(values).cpu().clone())

    def state_dict(self) -> dict[str, Any]:
        # As one tensor: torch.save takes 0.1 ms for each.
        return {"steps": self.steps, "parameters": torch.stack(self.parameters)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps, self.parameters = list(state_dict["steps"]), list(state_dict["parameters"])

    def write(self, path: Path) -> None:
        """Write `steps` (T,) and `parameters` (T, P) as safetensors, with parameters in the model's order."""
        write_atomic(path, save({"steps": torch.tensor(self.steps), "parameters": torch.stack(self.parameters)}))
