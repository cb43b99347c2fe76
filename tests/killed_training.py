"""Trainings that a test kills at a random moment. Their processes start quickly: a fork server has imported torch."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder

BATCHES = "seen.txt"  # in the run's folder: one line for each training batch, with its epoch, number and examples
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["piecewise.execution.train", "piecewise.training.fit", __name__])


def start(job: Job, folder: RunFolder, is_resumed: bool) -> BaseProcess:
    """Train in a new process that writes checkpoints as often as the disk allows."""
    process = _SERVER.Process(target=_train, args=(job, folder, is_resumed))
    process.start()
    return process


def signal_after_steps(
    process: BaseProcess, folder: RunFolder, rng: random.Random, most: int, number: int = signal.SIGKILL
) -> None:
    """Send a signal shortly after this process has begun a random number of steps, fewer than `most`."""
    batches, steps = folder.journal.parent / BATCHES, rng.randrange(1, most)
    begun = batches.read_bytes().count(b"\n") if batches.is_file() else 0
    while process.is_alive() and (not batches.is_file() or batches.read_bytes().count(b"\n") < begun + steps):
        time.sleep(0.001)
    time.sleep(rng.random() * 0.02)
    with contextlib.suppress(ProcessLookupError):  # it has ended
        assert process.pid is not None
        os.kill(process.pid, number)
    process.join()


def _train(job: Job, folder: RunFolder, is_resumed: bool) -> None:
    import torch

    from piecewise.data.resident import TrainLoader
    from piecewise.execution.train import train
    from piecewise.training import checkpoints

    torch.set_num_threads(1)
    checkpoints.INTERVAL_SECONDS = checkpoints.INTERVAL_FACTOR = 0  # type: ignore[misc]
    original = TrainLoader._batch
    folder.journal.parent.mkdir(parents=True, exist_ok=True)
    path: Path = folder.journal.parent / BATCHES

    def batch(self: TrainLoader, index: Any, number: int) -> Any:
        with path.open("a") as file:
            file.write(f"{self.epoch} {number} {' '.join(map(str, index.tolist()))}\n")
        return original(self, index, number)

    TrainLoader._batch = batch  # type: ignore[method-assign]
    train(job, folder, is_resumed=is_resumed)
