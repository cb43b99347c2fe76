"""Callbacks that write metrics into the run's journal: of training and validation, and of the machine."""

import contextlib
import math
import time
from typing import Any

import psutil
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from piecewise.errors import NonFiniteLoss
from piecewise.journal.writer import Journal
from piecewise.training.module import TrainingModule

MAX_PENDING = 256  # readings that stay on the device until they are fetched together
MAX_APART = 100  # steps whose losses are kept one by one; those of a longer interval are added up so often
LOSSES_KEY = "piecewise.train_nll"  # in a checkpoint: the losses of the interval, one by one, …
SUMS_KEY = "piecewise.train_nll_sums"  # … and the sum and count of its earlier ones
MACHINE_SECONDS = 10.0  # between two readings of the machine; a shorter training has one, at its end
MEGABYTE = 1e6


class Recorder(Callback):
    """Records `train/nll` and, after each validation, its metrics.

    `train/nll` is read after the first step, after every n-th step, and after the last step: each time the mean over
    the examples since the reading before. Raises NonFiniteLoss when a reading is NaN or infinite.
    """

    def __init__(self, module: TrainingModule, journal: Journal | None, every_n_steps: int) -> None:
        self.module = module
        self.journal = journal
        self.every_n_steps = every_n_steps
        self._readings: list[tuple[int, Tensor]] = []
        self._sums: Tensor | None = None  # sum and count of the interval's losses that were added up
        self._last_step = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step == self._last_step:  # with accumulated gradients, one step has several batches
            return
        self._last_step = step
        if step == 1 or step % self.every_n_steps == 0:
            self._read(step)
            if len(self._readings) >= MAX_PENDING:
                self._write(trainer)
        elif step % MAX_APART == 0:
            self._add_up()

    def _add_up(self) -> Tensor:
        """Sum and count of all losses since the last reading."""
        latest = self.module.take_train_nll()
        self._sums = latest if self._sums is None else self._sums + latest
        return self._sums

    def _read(self, step: int) -> None:
        self._readings.append((step, self._add_up()))
        self._sums = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self._write(trainer)
        if self.journal is not None:
            self.journal.metrics(trainer.global_step, self.module.val_metrics)
        for key, value in self.module.val_metrics.items():
            if not math.isfinite(value):
                raise NonFiniteLoss(f"{key} is {value} after step {trainer.global_step}; a smaller lr may help")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.module.train_nll or self._sums is not None:
            self._read(trainer.global_step)
        self._write(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._write(trainer)
        if self.journal is not None:
            self.journal.flush()  # before the save: a resumed training does not repeat these measurements
        if self.module.train_nll:  # the resumed run completes this interval
            checkpoint[LOSSES_KEY] = self.module.interval()
        if self._sums is not None:
            checkpoint[SUMS_KEY] = self._sums

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._last_step = checkpoint["global_step"]
        if SUMS_KEY in checkpoint:
            self._sums = checkpoint[SUMS_KEY].to(self.module.device)
        if LOSSES_KEY in checkpoint:
            values = checkpoint[LOSSES_KEY].to(self.module.device)
            self.module.train_nll = [values if trainer.is_global_zero else torch.zeros_like(values)]

    def _write(self, trainer: Trainer) -> None:
        """Fetch the pending readings and write them to the journal."""
        if not self._readings:
            return
        steps, tensors = zip(*self._readings, strict=True)
        self._readings = []
        for step, (total, count) in zip(steps, torch.stack(tensors).tolist(), strict=True):
            nll = total / count
            if self.journal is not None:
                self.journal.metrics(step, {"train/nll": nll})
            if not math.isfinite(nll):
                raise NonFiniteLoss(f"train/nll is {nll} at step {step}; a smaller lr may help")


class MachineMetrics(Callback):
    """Records the use of this process and of its GPU, under MLflow's names: its pages show them separately."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._next = 0.0
        self._process = psutil.Process()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._process.cpu_percent()  # later calls measure from here
        self._next = time.monotonic() + MACHINE_SECONDS

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() >= self._next:
            self._read(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._read(trainer)

    def _read(self, trainer: Trainer) -> None:
        values = {
            "system/cpu_utilization_percentage": self._process.cpu_percent(),  # of one core
            "system/memory_megabytes": self._process.memory_info().rss / MEGABYTE,
        }
        device = trainer.strategy.root_device
        if device.type == "cuda":
            values |= read_gpu(device)
        self.journal.system(trainer.global_step, values)
        self._next = time.monotonic() + MACHINE_SECONDS


def read_gpu(device: torch.device) -> dict[str, float]:
    """Memory that PyTorch holds, in megabytes, and the GPU's utilisation, in per cent, if the driver reports it."""
    values = {
        "system/gpu_memory_megabytes": torch.cuda.memory_allocated(device) / MEGABYTE,
        "system/gpu_memory_peak_megabytes": torch.cuda.max_memory_allocated(device) / MEGABYTE,
    }
    with contextlib.suppress(Exception):  # none for a slice of a GPU (MIG), nor without an NVIDIA driver
        values["system/gpu_utilization_percentage"] = float(torch.cuda.utilization(device))
    return values
