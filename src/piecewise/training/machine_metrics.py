"""What the machine does while it trains: processor, memory, and the GPU if there is one."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytorch_lightning as pl
import torch

from piecewise.journal.writer import Journal

SECONDS = 10.0  # between two readings; a short training has one, at its end
MEGABYTE = 1e6


class MachineMetrics(pl.Callback):
    """Metrics named as MLflow's own, which its pages show apart: of this process, and of the GPU it trains on."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._next = 0.0
        self._process: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        import psutil

        self._process = psutil.Process()
        self._process.cpu_percent()  # from here on
        self._next = time.monotonic() + SECONDS

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
        self._next = time.monotonic() + SECONDS


def read_gpu(device: torch.device) -> dict[str, float]:
    """What PyTorch holds of its memory, and how much of the last moment it was busy, if the driver can tell."""
    values = {
        "system/gpu_memory_megabytes": torch.cuda.memory_allocated(device) / MEGABYTE,
        "system/gpu_memory_peak_megabytes": torch.cuda.max_memory_allocated(device) / MEGABYTE,
    }
    with contextlib.suppress(Exception):  # it cannot of a slice of a GPU (MIG), nor of one that is not NVIDIA's
        values["system/gpu_utilization_percentage"] = float(torch.cuda.utilization(device))
    return values
