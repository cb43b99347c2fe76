"""Check that a configuration can be trained, without reading its data and without its device."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from piecewise import terminal
from piecewise.data.resident import check_shares
from piecewise.errors import BadInput
from piecewise.execution.trial import check_step
from piecewise.jobs import build
from piecewise.jobs.build import Parts
from piecewise.jobs.config import Component, JobConfig
from piecewise.jobs.targets import annotated, resolve
from piecewise.jobs.trainer import make_trainer
from piecewise.tracking.store.addresses import check_address

# Options of schedulers that are a number of intervals, steps or epochs.
INTERVAL_COUNTS = ("total_steps", "T_max", "T_0", "total_iters", "step_size", "milestones")
COPIES_IN_MEMORY = 3  # the weights, their gradients, and the state of most optimizers


def check(config: JobConfig) -> Parts:
    """Build the objects of a job without its data, and take a trial step.

    Raises BadInput, naming the key, if they cannot be built or used.
    """
    with torch.random.fork_rng([]):  # models are drawn
        return _check(config)


def _check(config: JobConfig) -> Parts:
    if config.tracking.uri is not None:
        check_address(config.tracking.uri)
    parts = build.build_parts(config, device="meta")
    make_trainer(config.trainer)
    _check_batches(parts)
    max_shift = config.data.max_shift
    if max_shift and len(parts.spec.input_shape) != 3:
        raise BadInput(f"data.max_shift={max_shift} moves images; data={parts.spec.name} has none")
    if max_shift and max_shift >= min(parts.spec.input_shape[1:]):
        raise BadInput(f"data.max_shift={max_shift} moves images of {parts.spec.input_shape[1:]} pixels out of sight")
    with _errors_named(config.optimizer):
        optimizer = build.make_optimizer(config)(parts.model.parameters())
    with _errors_named(config.scheduler):
        _check_schedule(parts, optimizer)
    with _errors_named(config.model):
        _check_outputs(parts)
    _check_memory(parts)
    check_step(parts)
    return parts


@contextmanager
def _errors_named(component: Component | None) -> Iterator[None]:
    """Turn any error of a class that a configuration names into BadInput with the class and its options."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        assert component is not None  # without a schedule there is nothing to fail
        options = f", {component}" if component.options else ""
        raise BadInput(
            f"{component.group}._target_={component.target!r}{options}: {type(error).__name__}: {reason}"
        ) from error


def _check_batches(parts: Parts) -> None:
    """Refuse batches that the ranks cannot share equally, or that are too small for batch norm."""
    length, num_ranks = parts.length, parts.config.trainer.planned_ranks
    check_shares(length.batch_size, length.num_train, num_ranks)
    last = length.smallest_batch
    if last // num_ranks < 2 and not _can_normalise_one(parts):
        raise BadInput(
            f"batch_size={parts.config.batch_size} cuts {length.num_train} training examples so that the last batch "
            f"has {last} for {num_ranks} process{'es' * (num_ranks > 1)}; batch norm needs at least 2 in each"
        )


def _can_normalise_one(parts: Parts) -> bool:
    """Whether every batch norm has several values for each channel of one example: images may have, vectors not."""
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    if not any(isinstance(layer, norms) for layer in parts.model.modules()):
        return True
    try:
        parts.model(torch.zeros(1, *parts.spec.input_shape, device="meta"))
    except ValueError:  # of batch norm; everything else about the model is checked with two examples
        return False
    return True


def _check_schedule(parts: Parts, optimizer: Optimizer) -> None:
    schedule = build.make_schedule(parts.config)
    if schedule is None:
        return
    steps, epochs = parts.length.steps, parts.length.epochs
    total = steps if schedule.interval == "step" else epochs
    for key in INTERVAL_COUNTS:
        value = schedule.arguments.get(key)
        counts = [count for count in (value if isinstance(value, list) else [value]) if isinstance(count, int)]
        if any(count < 1 for count in counts):  # PyTorch divides by it, or ignores it: total_iters=0 never warms up
            raise BadInput(f"scheduler.{key}={value} must be at least 1 {schedule.interval}")
        if any(count > total for count in counts):
            raise BadInput(
                f"scheduler.{key}={value} is longer than the training, which has {total} {schedule.interval}s; "
                f"allowed: at most {total}"
            )
    if (schedule.arguments.get("total_steps") or total) < total:
        raise BadInput(
            f"scheduler.total_steps={schedule.arguments['total_steps']} ends before the training, which has {total} "
            f"{schedule.interval}s; leave it out and it is set"
        )
    scheduler = schedule.configure(optimizer, steps, epochs)["lr_scheduler"]["scheduler"]
    if not isinstance(scheduler, ReduceLROnPlateau):  # it needs a metric, which the trial step refuses
        _take_last_interval(scheduler, total)


def _take_last_interval(scheduler: LRScheduler, total: int) -> None:
    """The step that ends the training: with pct_start=1.0 OneCycleLR divides by zero there, and nowhere else."""
    scheduler.last_epoch = total - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a scheduler that steps before its optimizer
        scheduler.step()


def _check_outputs(parts: Parts) -> None:
    probe = torch.zeros(2, *parts.spec.input_shape, device="meta")
    shape, expected = tuple(parts.model(probe).shape), (2, parts.loss.num_outputs(parts.spec))
    if shape != expected:
        raise BadInput(
            f"model gives outputs of shape {shape} for two examples; {type(parts.loss).__name__} needs {expected}"
        )


def _check_memory(parts: Parts) -> None:
    """Refuse a model that does not fit into memory: the system kills the process without a message."""
    needed = COPIES_IN_MEMORY * sum(weight.numel() * weight.element_size() for weight in parts.model.parameters())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise BadInput(
            f"model is too large: training its weights needs {terminal.size(needed)} of memory, "
            f"this machine has {terminal.size(memory)}"
        )


def coerced(config: dict[str, Any]) -> dict[str, Any]:
    """A checked configuration whose numbers have the types of their targets: `lr=1` and `lr=1.0` are the same job."""
    groups = {}
    for group, options in config.items():
        if isinstance(options, dict) and "_target_" in options:
            target = resolve(options["_target_"], f"{group}._target_", object)
            groups[group] = annotated(target, options, group)
    return config | groups
