"""The time and disk that a job needs, estimated from three timed steps on random examples."""

import time
from dataclasses import dataclass

import torch

from piecewise.data.made_up import made_up_examples
from piecewise.jobs import build
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job

TIMED_STEPS = 3  # after one step that is not timed
SECONDS_PER_BATCH = 6e-4  # what the Trainer takes for each batch besides the model
SECONDS_PER_RUN = 4.0  # to begin, evaluate and draw
BYTES_PER_RUN = 400_000  # journal, figures and MLflow's copies of them
COPIES_OF_WEIGHTS = 8  # the run's, MLflow's, and in each of two checkpoints the weights and Adam's two moments
READS_OF_DATA = 2  # to train and to evaluate
BYTES_PER_NUMBER = 4
MAX_DRAWN_INPUTS = 2  # figures show training examples that have at most this many inputs


@dataclass(frozen=True)
class Estimate:
    """The cost of a job on this machine's CPU; a GPU is usually faster."""

    seconds: float
    num_bytes: int


def estimate(job: Job) -> Estimate:
    """The time and disk of a job that does not stop early."""
    start = time.perf_counter()
    parts = build.build_parts(job.config)
    reading = time.perf_counter() - start  # a CSV file is read whole to count its examples
    weights = sum(tensor.numel() * tensor.element_size() for tensor in parts.model.state_dict().values())
    training = parts.length.batches * (SECONDS_PER_BATCH + _time_step(parts))
    seconds = SECONDS_PER_RUN + READS_OF_DATA * reading + training
    return Estimate(seconds, BYTES_PER_RUN + COPIES_OF_WEIGHTS * weights + BYTES_PER_NUMBER * _num_saved(parts))


@torch.no_grad()
def _num_saved(parts: Parts) -> int:
    """How many numbers an evaluation saves for its figures."""
    spec = parts.spec
    outputs: torch.Tensor = parts.model(torch.rand(2, *spec.input_shape, dtype=next(parts.model.parameters()).dtype))
    num_drawn = spec.num_train if spec.num_inputs <= MAX_DRAWN_INPUTS else 0
    return spec.num_test * (outputs[0].numel() + spec.num_targets) + num_drawn * (spec.num_inputs + spec.num_targets)


def _time_step(parts: Parts) -> float:
    """Seconds of the fastest timed step."""
    batch_size = parts.length.batch_size
    optimizer = build.make_optimizer(parts.config)(parts.model.parameters())
    made_up = made_up_examples(parts.spec, parts.loss.kind, batch_size)
    x, y = made_up.x, made_up.y
    is_mixed = "bf16" in str(parts.config.trainer.options.get("precision"))
    durations = []
    for _ in range(1 + TIMED_STEPS):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
            outputs = parts.model(x)
        optimizer.zero_grad()
        torch.autograd.backward(parts.loss.objective(outputs.to(x.dtype), y).mean())
        optimizer.step()
        durations.append(time.perf_counter() - start)
    return min(durations[1:])
