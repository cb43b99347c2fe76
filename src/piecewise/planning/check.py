"""Check that a configuration can be trained, without reading its data and without its device."""

import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from piecewise import terminal
from piecewise.data.resident import check_shares
from piecewise.errors import BadInput
from piecewise.execution.executors.contract import Executor
from piecewise.execution.trial import check_step
from piecewise.jobs import build
from piecewise.jobs.build import Parts
from piecewise.jobs.config import Component, JobConfig
from piecewise.jobs.targets import annotated, construct, resolve
from piecewise.jobs.trainer import make_trainer
from piecewise.planning.schedules import check_schedule
from piecewise.tracking.store.addresses import check_address

COPIES_IN_MEMORY = 3  # the weights, their gradients, and the state of most optimizers


def check(config: JobConfig) -> Parts:
    """Build the objects of a job without its data, and take a trial step.

    Raises BadInput, naming the key, if they cannot be built or used.
    """
    return Checks().check(config)


class Checks:
    """The checks of the jobs of one plan: what several jobs have in common is built and checked once."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Any] = {}

    def check(self, config: JobConfig) -> Parts:
        """As the function `check`. The parts of several jobs may share source, loss and model."""
        if (uri := config.tracking.uri) is not None:
            self._once((check_address, uri), lambda: check_address(uri))
        built = repr((config.data, config.loss, config.model))
        made: Parts = self._once((build.build_parts, built), lambda: build.build_parts(config, device="meta"))
        parts = replace(made, config=config)
        all_but_seed = repr(replace(config, seed=0))  # JobConfig has checked its range, and it decides nothing else
        self._once((check, all_but_seed), lambda: self._check(parts, built))
        return parts

    def coerced(self, config: dict[str, Any]) -> dict[str, Any]:
        """A checked configuration with the types of its targets: `lr=1` and `lr=1.0` are the same job."""
        groups = {}
        for group, options in config.items():
            if isinstance(options, dict) and "_target_" in options:
                groups[group] = self._once((annotated, group, repr(options)), partial(_coerced, group, options))
        return config | groups

    def _once(self, key: Hashable, find: Callable[[], Any]) -> Any:
        """What `find` returns or raises; it is called for the first job with this key."""
        if key not in self._found:
            with torch.random.fork_rng([]):  # models are drawn
                self._found[key] = find()
        return self._found[key]

    def _check(self, parts: Parts, built: str) -> None:
        config = parts.config
        self._once((make_trainer, repr(config.trainer)), lambda: make_trainer(config.trainer))
        if (executor := config.executor) is not None:
            self._once((Executor, repr(executor)), lambda: construct(executor, Executor))
        _check_batches(parts)
        _check_shift(parts)
        with _errors_named(config.optimizer):
            optimizer = build.make_optimizer(config)(parts.model.parameters())
        with _errors_named(config.scheduler):
            check_schedule(parts, optimizer)
        self._once((_check_outputs, built), lambda: _check_outputs(parts))
        self._once((_check_memory, built), lambda: _check_memory(parts))
        check_step(parts)


def _coerced(group: str, options: dict[str, Any]) -> dict[str, Any]:
    return annotated(resolve(options["_target_"], f"{group}._target_", object), options, group)


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


def _check_shift(parts: Parts) -> None:
    max_shift, shape = parts.config.data.max_shift, parts.spec.input_shape
    if max_shift and len(shape) != 3:
        raise BadInput(f"data.max_shift={max_shift} moves images; data={parts.spec.name} has none")
    if max_shift and max_shift >= min(shape[1:]):
        raise BadInput(f"data.max_shift={max_shift} moves images of {shape[1:]} pixels out of sight")


def _check_outputs(parts: Parts) -> None:
    probe = torch.zeros(2, *parts.spec.input_shape, device="meta")
    with _errors_named(parts.config.model):
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
