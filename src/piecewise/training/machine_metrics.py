"""CPU, memory and GPU use during training."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import psutil
import pytorch_lightning as pl
import torch

from piecewise.journal.writer import Journal

INTERVAL_SECONDS = 10.0  # between two readings; a shorter training has one reading, at its end
MEGABYTE = 1e6


class MachineMetrics(pl.Callback):
    """Records the use of this process and of its GPU, under MLflow's names: its pages show them separately."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._next = 0.0
        self._process = psutil.Process()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._process.cpu_percent()  # later calls measure from here
        self._next = time.monotonic() + INTERVAL_SECONDS

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() >= self._next:
            self._read(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._read(trainer)

    def _read(self, trainer: pl.Trainer) -> None:
        values = {
            "system/cpu_utilization_percentage": self._process.cpu_percent(),  # of one core
            "system/memory_megabytes": self._process.memory_info().rss / MEGABYTE,
        }
        device = trainer.strategy.root_device
        if device.type == "cuda":
            values |= read_gpu(device)
        self.journal.system(trainer.global_step, values)
        self._next = time.monotonic() + INTERVAL_SECONDS


def read_gpu(device: torch.device) -> dict[str, float]:
    """Memory that PyTorch holds, in megabytes, and the GPU's utilisation, in per cent, if the driver reports it."""
    values = {
        "system/gpu_memory_megabytes": torch.cuda.memory_allocated(device) / MEGABYTE,
        "system/gpu_memory_peak_megabytes": torch.cuda.max_memory_allocated(device) / MEGABYTE,
    }
    with contextlib.suppress(Exception):  # none for a slice of a GPU (MIG), nor without an NVIDIA driver
        values["system/gpu_utilization_percentage"] = float(torch.cuda.utilization(device))
    return values
