"""Slots: the shares of this machine that jobs run in, each with threads and GPUs of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from piecewise.jobs.config import TrainerConfig
from piecewise.process_settings import VISIBLE_GPUS


@dataclass(frozen=True)
class Slot:
    """The threads and the GPU of one process that trains."""

    number: int
    threads: int
    gpu: str | None = None  # its name in CUDA_VISIBLE_DEVICES; None: the slot has none


def make_slots(count: int | None, gpus: Sequence[str], gpu_fraction: float, cores: int | None = None) -> list[Slot]:
    """`count` slots; None: one for each share of a GPU, or without GPUs one for each core.

    Slots take turns with the GPUs, so that the first slots have different ones.
    """
    cores = usable_cores() if cores is None else cores
    number = count or (len(gpus) * max(1, int(1 / gpu_fraction)) if gpus else cores)
    threads = max(1, cores // number)
    return [Slot(index, threads, gpus[index % len(gpus)] if gpus else None) for index in range(number)]


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name.strip() for name in os.environ.get(VISIBLE_GPUS, "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def take(free: Sequence[Slot], slots: Sequence[Slot], trainer: TrainerConfig) -> list[Slot] | None:
    """The free slots that a job trains in: one for each of its ranks, on different GPUs; None if it must wait.

    With more ranks than that, or with `devices=auto`, it waits until it can train on all GPUs, or without GPUs in all
    slots.
    """
    most, different = _of_different_gpus(slots), _of_different_gpus(free)
    wanted = min(trainer.planned_ranks, len(most)) if _is_counted(trainer) else len(most)
    chosen = list(free) if wanted == 1 else different
    return chosen[:wanted] if len(chosen) >= wanted else None


def _of_different_gpus(slots: Sequence[Slot]) -> list[Slot]:
    """One slot for each GPU; all of them if they have none."""
    by_gpu = {slot.gpu if slot.gpu is not None else slot.number: slot for slot in reversed(slots)}
    return sorted(by_gpu.values(), key=lambda slot: slot.number)


def _is_counted(trainer: TrainerConfig) -> bool:
    """Whether the job says how many processes it has; `auto` and -1 mean all devices."""
    devices = trainer.options.get("devices")
    return not trainer.may_use_ranks or (isinstance(devices, int) and devices > 0)
