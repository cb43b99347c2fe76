"""The trial step: before a job starts, its own Trainer, model, optimizer and schedule train on made-up examples.

Lightning and PyTorch can refuse options that are each legal, but only at the first step. The trial takes this step in
the process that plans. It reads no data, and leaves nothing behind.
"""

import copy
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from safetensors.torch import save

from piecewise import process_settings, stopping
from piecewise.data.made_up import made_up_examples
from piecewise.errors import BadInput, NonFiniteLoss
from piecewise.jobs import build
from piecewise.jobs.build import Parts
from piecewise.jobs.config import Component, JobConfig, TrainerConfig
from piecewise.jobs.digests import canonical
from piecewise.jobs.job import Job
from piecewise.jobs.targets import resolve
from piecewise.jobs.trainer import accelerator, make_trainer
from piecewise.training.datamodule import ResidentData
from piecewise.training.evaluation import evaluate
from piecewise.training.fit import FitOptions, fit
from piecewise.training.length import Length
from piecewise.training.module import TrainingModule

BATCH_SIZE = 2  # batch norm needs two examples
NUM_BATCHES = 2
# Options of the trainer that say how long and where it trains. The trial is short, and has one device.
LENGTH = ("max_steps", "limit_train_batches", "limit_val_batches", "overfit_batches", "check_val_every_n_epoch")
PLACE = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
# Numbers that do not decide whether a step is possible. Jobs that differ only in them and in the size of numbers with a
# decimal point have the same shape.
VARYING = {
    *("seed", "split_seed", "test_seed", "num_train", "num_test", "num_examples", "val_fraction", "batch_size"),
    *("max_epochs", "timeout", "log_every_n_steps", "evaluate", "log_model", "tracking", *LENGTH),
    *("executor", "on_error", "figures"),
}
_REFUSALS: dict[str, str | None] = {}  # of each shape that this process has tried: why it cannot train


def check_step(parts: Parts) -> None:
    """Raise BadInput, naming the keys that matter, if a job of these parts cannot train. `parts` stay as they are.

    Each shape of job is tried once in a process. A process that lacks the job's device tries nothing.
    """
    _check(parts.config, lambda: parts)


def check_steps(jobs: Iterable[Job], is_rank: bool = False) -> None:
    """`check_step` for jobs that may have been planned on another machine, or changed since.

    If several processes train on GPUs, only they try (`is_rank`): the one that planned would keep memory of a GPU.
    """
    for job in jobs:
        _check(job.config, partial(build.build_parts, job.config, device="meta"), is_rank)


def _check(config: JobConfig, parts: Callable[[], Parts], is_rank: bool = False) -> None:
    build.check_repeated_losses(config)
    shape = shape_of(config)
    if shape not in _REFUSALS and _has_device(config.trainer, is_rank):
        _REFUSALS[shape] = _refusal(parts())
    refusal = _REFUSALS.get(shape)
    if refusal is not None:
        raise BadInput(refusal)


def shape_of(config: JobConfig) -> str:
    """A text that jobs share if they differ only in numbers that change no shape."""
    return canonical(_without_sizes(asdict(config)))


def _has_device(trainer: TrainerConfig, is_rank: bool) -> bool:
    if accelerator(trainer.options) == "cpu":
        return True
    return torch.cuda.is_available() and (is_rank or not trainer.may_use_ranks)


def _without_sizes(value: Any) -> Any:
    """`value` without the options in VARYING, and with only the sign of each number that has a decimal point."""
    if isinstance(value, dict):
        return {key: _without_sizes(item) for key, item in value.items() if key not in VARYING}
    if isinstance(value, list | tuple):
        return [_without_sizes(item) for item in value]
    return f"{(value > 0) - (value < 0)}." if isinstance(value, float) else value


def _refusal(parts: Parts) -> str | None:
    """The error of the trial step, and the options without which there is none; None if the step is possible."""
    reason = _error(parts)
    if reason is None:
        return None
    config = parts.config
    keys = [key for key, simpler in _simpler(config) if _error(replace(parts, config=simpler)) is None]
    if not keys:
        plain = replace(config, optimizer=Component("optimizer", "torch.optim.SGD", {"lr": 0.1}))
        is_of_optimizer = _error(replace(parts, config=plain)) is None
        used = (config.optimizer,) if is_of_optimizer else (config.model, config.loss, config.optimizer)
        keys = [f"{part.group}._target_={part.target!r}" for part in used]
    return f"{', '.join(keys)}: {'these options do not fit together' if len(keys) > 1 else 'cannot train'}; {reason}"


def _simpler(config: JobConfig) -> Iterator[tuple[str, JobConfig]]:
    """Each option that has not its default, and the configuration without it."""
    for component in (config.trainer, config.optimizer):
        known = inspect.signature(resolve(component.target, f"{component.group}._target_", object)).parameters
        for key, value in component.options.items():
            if key not in (*LENGTH, *PLACE, "accelerator", "max_epochs", "timeout") and value != known[key].default:
                others = {name: option for name, option in component.options.items() if name != key}
                if known[key].default is not inspect.Parameter.empty:
                    changes: Any = {component.group: replace(component, options=others)}
                    yield f"{component.group}.{key}={value!r}", replace(config, **changes)
    if config.scheduler is not None:
        yield f"scheduler._target_={config.scheduler.target!r}", replace(config, scheduler=None)


def _error(parts: Parts) -> str | None:
    """The error of the trial step in one line; None if the step is possible."""
    try:
        with _undone():
            _take_step(parts)
    except (BadInput, NonFiniteLoss) as error:  # a loss on made-up examples need not be finite
        return str(error) if isinstance(error, BadInput) else None
    except Exception as error:  # whatever Lightning and PyTorch raise
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def _take_step(parts: Parts) -> None:
    config, loss = parts.config, copy.deepcopy(parts.loss)
    options = {key: value for key, value in config.trainer.options.items() if key not in LENGTH}
    trainer = replace(config.trainer, options={**options, **PLACE, "max_epochs": 1})
    model = build.build_model(config, parts.spec, loss)
    train, other = (made_up_examples(parts.spec, loss.kind, count) for count in (NUM_BATCHES * BATCH_SIZE, BATCH_SIZE))
    length = Length.of(len(train), len(other), BATCH_SIZE, trainer.options)
    data = ResidentData(train, other, length, config.seed, config.data.max_shift)
    module = TrainingModule(model, loss, build.make_optimizer(config), build.make_schedule(config))
    early_stopping = vars(config.early_stopping) if config.early_stopping.patience else None
    fit(module, data, make_trainer(trainer), None, FitOptions(None, config.select, early_stopping))
    outputs = evaluate(model.to("cpu"), loss, other).outputs
    save({"outputs": outputs.contiguous()})


@contextmanager
def _undone() -> Iterator[None]:
    """Show no warnings, and restore signal handlers, threads and random states at the end."""
    devices = list(range(torch.cuda.device_count()))
    with (
        warnings.catch_warnings(),
        torch.random.fork_rng(devices),
        stopping.handlers_restored(),
        process_settings.one_thread(),
    ):
        warnings.simplefilter("ignore")
        yield
