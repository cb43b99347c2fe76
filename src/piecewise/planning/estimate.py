"""The time and disk that jobs need, estimated from a few timed steps on random examples."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import nn

from piecewise import process_settings
from piecewise.data.made_up import made_up_examples
from piecewise.execution.trial import shape_of
from piecewise.jobs import build
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job
from piecewise.training.step_speed import SMALL_STEP, num_operations

MIN_STEPS, MIN_SECONDS = 3, 0.01  # timed for each shape, after one step that allocates
SECONDS_PER_BATCH = 6e-4  # what the Trainer takes for each batch besides the model
SECONDS_PER_RUN = 4.0  # to begin, evaluate and draw
SECONDS_IN_SWEEP = 0.15  # the same for a run of a sweep, which begins in a process that is ready, and is not drawn
BYTES_PER_RUN = 400_000  # journal, figures and MLflow's copies of them
COPIES_OF_WEIGHTS = 8  # the run's, MLflow's, and in each of two checkpoints the weights and Adam's two moments
READS_OF_DATA = 2  # to train and to evaluate
BYTES_PER_NUMBER = 4
MAX_DRAWN_INPUTS = 2  # figures show training examples that have at most this many inputs
Found = TypeVar("Found")


@dataclass(frozen=True)
class Estimate:
    """The cost of a job on this machine's CPU; a GPU is usually faster."""

    seconds: float
    num_bytes: int


@dataclass(frozen=True)
class _Built:
    """Parts without memory, and how long their data take to open: a CSV file is read whole to count its examples."""

    parts: Parts
    seconds: float


class Estimator:
    """The estimates of the jobs of one plan. One step is timed for each shape of job and size of its batches."""

    def __init__(self) -> None:
        self._found: dict[Hashable, object] = {}

    def estimate(self, job: Job, is_in_sweep: bool = False) -> Estimate:
        """The time and disk of a job that does not stop early."""
        config = job.config
        key = (Estimate, repr(replace(config, seed=0)), is_in_sweep)
        return self._once(key, lambda: self._estimate(job, is_in_sweep and config.figures != "all"))

    def _estimate(self, job: Job, is_short: bool) -> Estimate:
        config = job.config
        key = (_Built, repr((config.data, config.loss, config.model)))
        built = self._once(key, lambda: _build(job))
        parts = replace(built.parts, config=config)
        step = self._once((_time_step, shape_of(config), parts.length.batch_size), lambda: _time_step(parts))
        training = parts.length.batches * (SECONDS_PER_BATCH + step)
        seconds = (SECONDS_IN_SWEEP if is_short else SECONDS_PER_RUN) + READS_OF_DATA * built.seconds + training
        return Estimate(seconds, self._once((_num_bytes, key), lambda: _num_bytes(parts)))

    def _once(self, key: Hashable, find: Callable[[], Found]) -> Found:
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]  # type: ignore[return-value]


def _build(job: Job) -> _Built:
    start = time.perf_counter()
    parts = build.build_parts(job.config, device="meta")
    return _Built(parts, time.perf_counter() - start)


@torch.no_grad()
def _num_bytes(parts: Parts) -> int:
    """What a run keeps: records, weights, and what an evaluation saves for its figures."""
    weights = list(parts.model.state_dict().values())
    num_bytes = BYTES_PER_RUN + COPIES_OF_WEIGHTS * sum(tensor.numel() * tensor.element_size() for tensor in weights)
    spec = parts.spec
    like = next(parts.model.parameters())
    outputs: torch.Tensor = parts.model(torch.zeros(2, *spec.input_shape, dtype=like.dtype, device=like.device))
    num_drawn = spec.num_train if spec.num_inputs <= MAX_DRAWN_INPUTS else 0
    saved = spec.num_test * (outputs[0].numel() + spec.num_targets) + num_drawn * (spec.num_inputs + spec.num_targets)
    return int(num_bytes + BYTES_PER_NUMBER * saved)


def _time_step(parts: Parts) -> float:
    """Seconds of the fastest timed step: any may wait for a core. A small one has one thread, as in training."""
    model = build.build_model(parts.config, parts.spec, parts.loss)
    is_small = num_operations(model, parts.spec.input_shape, parts.length.batch_size) < SMALL_STEP
    steps = _steps(parts, model)
    durations: list[float] = []
    with process_settings.one_thread() if is_small else nullcontext():
        next(steps)
        while len(durations) < MIN_STEPS or sum(durations) < MIN_SECONDS:
            start = time.perf_counter()
            next(steps)
            durations.append(time.perf_counter() - start)
    return min(durations)


def _steps(parts: Parts, model: nn.Module) -> Iterator[None]:
    """Take a step on made-up examples each time."""
    optimizer = build.make_optimizer(parts.config)(model.parameters())
    made_up = made_up_examples(parts.spec, parts.loss.kind, parts.length.batch_size)
    is_mixed = "bf16" in str(parts.config.trainer.options.get("precision"))
    while True:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
            outputs = model(made_up.x)
        optimizer.zero_grad()
        torch.autograd.backward(parts.loss.objective(outputs.to(made_up.x.dtype), made_up.y).mean())
        optimizer.step()
        yield
