"""Faults inside the jobs of a command. Python imports this file at its start if its folder is in PYTHONPATH.

A configuration cannot name such code. FAULTS, an environment variable in JSON, says what happens in the fourth step of
a job, by its seed: {"3": "raise"}; if it has several ranks, in the last. With STEPS, a folder, each job notes its steps
in a file named after its seed. STEP_SECONDS makes steps slower. With CHECKPOINTS, each step has a checkpoint.
"""

import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

PLACE = "piecewise.execution.fit"  # what imports this file is patched: only there is a job trained
STEP = 3  # in which a job fails, counted from 0


def fail(way: str, loss: Any) -> Any:
    """The loss of a step that fails."""
    if way == "raise":
        raise RuntimeError("injected")
    if way == "sys.exit":
        sys.exit(5)
    if way == "os._exit":
        os._exit(7)
    if way in ("SIGKILL", "SIGSEGV"):
        os.kill(os.getpid(), signal.Signals[way])
    if way == "memory":
        bytearray(1 << 60)
    if way == "memory of torch":
        loss.new_empty(1 << 58)
    if way == "hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        time.sleep(1e6)
    assert way == "non-finite", way
    return loss * float("nan")


def patch(fit: ModuleType) -> None:
    from piecewise.training import checkpoints
    from piecewise.training.module import TrainingModule

    train, step = fit.fit_job, TrainingModule.training_step
    seeds: list[str] = []  # of the job that trains in this process

    def fit_job(job: Any, *arguments: Any) -> Any:
        seeds[:] = [str(job.config.seed)]
        if "CHECKPOINTS" in os.environ:
            checkpoints.INTERVAL_SECONDS = checkpoints.INTERVAL_FACTOR = 0  # type: ignore[misc]
        try:
            return train(job, *arguments)
        finally:
            seeds.clear()

    def training_step(self: TrainingModule, batch: Any, batch_idx: int) -> Any:
        loss = step(self, batch, batch_idx)
        if not seeds:  # the trial step before a training
            return loss
        if "STEPS" in os.environ:
            with Path(os.environ["STEPS"], seeds[0]).open("a") as file:
                file.write(f"{self.trainer.global_step}\n")
        time.sleep(float(os.environ.get("STEP_SECONDS", "0")))
        way = json.loads(os.environ.get("FAULTS", "{}")).get(seeds[0])
        is_here = way is not None and self.trainer.global_step == STEP
        if is_here and way == "non-finite":
            self._refuse_non_finite(float("nan"), batch, batch_idx)
        return fail(way, loss) if is_here and self.global_rank == self.trainer.world_size - 1 else loss

    fit.fit_job, TrainingModule.training_step = fit_job, training_step  # type: ignore[method-assign]


class Finder(importlib.abc.MetaPathFinder):
    """Patches PLACE when it has been imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name == PLACE else None
        if spec is None or spec.loader is None:
            return None
        loader = spec.loader
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            patch(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
