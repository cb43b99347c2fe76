"""What a job will take, before it is started: three steps on made-up examples, timed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from piecewise.data.spec import DataSpec, TargetKind
from piecewise.jobs import build
from piecewise.jobs.batches import global_batch_size
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job
from piecewise.planning.check import length, num_examples

STEPS = 3  # that are timed, after one that is not
OVERHEAD = 6e-4  # seconds that the Trainer spends on each step besides the mathematics, and
START = 4.0  # on beginning, evaluating, drawing
FILES = 400_000  # bytes of journal, figures and the copies that MLflow keeps, besides weights
COPIES = 8  # of the weights: published, in MLflow, and two checkpoints with the optimizer's state
READS = 2  # of the data, to train and to evaluate
WORD = 4  # bytes of a number
PLANE = 2  # inputs, up to which figures show the training examples


@dataclass(frozen=True)
class Estimate:
    """On this machine's CPU; a GPU is usually faster."""

    seconds: float
    num_bytes: int


def estimate(job: Job) -> Estimate:
    """The time and disk that a job needs, early stopping aside."""
    start = time.perf_counter()
    parts = build.build_parts(job.config)
    reading = time.perf_counter() - start  # a table of one's own is read for its size alone
    num_train = num_examples(job.config, parts)
    steps, _ = length(job.config, num_train)
    batch_size = global_batch_size(job.config, num_train)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in parts.model.state_dict().values())
    seconds = START + READS * reading + steps * (OVERHEAD + _time_step(job, parts, batch_size))
    return Estimate(seconds, FILES + COPIES * weights + WORD * _num_kept(parts))


@torch.no_grad()
def _num_kept(parts: Parts) -> int:
    """The numbers that an evaluation keeps for its figures."""
    spec = parts.spec
    outputs: torch.Tensor = parts.model(torch.rand(2, *spec.input_shape, dtype=next(parts.model.parameters()).dtype))
    num_shown = spec.num_train if spec.num_inputs <= PLANE else 0
    return spec.num_test * (outputs[0].numel() + spec.num_targets) + num_shown * (spec.num_inputs + spec.num_targets)


def _time_step(job: Job, parts: Parts, batch_size: int) -> float:
    """Seconds of one step, the fastest of a few."""
    optimizer = build.make_optimizer(job.config)(parts.model.parameters())
    x = torch.rand(batch_size, *parts.spec.input_shape)
    y = _targets(parts.spec, parts.loss.kind, batch_size)
    is_mixed = "bf16" in str(job.config.trainer.options.get("precision"))
    taken = []
    for _ in range(1 + STEPS):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
            outputs = parts.model(x)
        optimizer.zero_grad()
        torch.autograd.backward(parts.loss.objective(outputs.to(x.dtype), y).mean())
        optimizer.step()
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def _targets(spec: DataSpec, kind: TargetKind, count: int) -> torch.Tensor:
    if kind is TargetKind.CLASS:
        return torch.zeros(count, dtype=torch.int64)
    if kind is TargetKind.RANKING:
        return torch.arange(spec.num_targets).expand(count, -1)
    return torch.full((count, spec.num_targets), 0.5)  # which is in every range
