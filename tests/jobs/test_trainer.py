"""The options of Lightning's Trainer that a job may set, and their allowed values."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

from piecewise.errors import BadInput
from piecewise.jobs.config import TrainerConfig
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import OPTIONS, check_devices, make_trainer

Plan = Callable[..., list[Job]]


def changed(job: Job, options: dict[str, Any]) -> TrainerConfig:
    """The job's trainer with some other options."""
    return replace(job.config.trainer, options=job.config.trainer.options | options)


def test_every_option_is_an_argument_of_lightnings_trainer() -> None:
    assert set(OPTIONS) - {"timeout"} <= set(inspect.signature(Trainer).parameters)


@pytest.mark.parametrize(
    "option", ["callbacks", "logger", "fast_dev_run", "max_time", "profiler", "barebones", "plugins"]
)
def test_options_that_training_provides_or_that_end_it_early_are_refused(tiny_job: Job, option: str) -> None:
    with pytest.raises(BadInput, match=rf"trainer\.{option}='x' (is no option|must be)"):
        make_trainer(changed(tiny_job, {option: "x"}))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("max_epochs", 0, "a whole number from 1 to 1000000000"),
        ("max_epochs", 10**20, "a whole number from 1 to 1000000000"),
        ("max_epochs", None, "is missing"),
        ("max_epochs", 1.5, "must be a valid integer"),
        ("max_steps", 0, "a whole number from 1"),
        ("accumulate_grad_batches", 0, "a whole number from 1"),
        ("check_val_every_n_epoch", 0, "a whole number from 1"),
        ("limit_train_batches", 0, "at least 1, or a share above 0.0 to 1.0"),
        ("limit_train_batches", 1.5, "at least 1, or a share above 0.0 to 1.0"),
        ("limit_val_batches", -1, "at least 1, or a share above 0.0 to 1.0"),
        ("overfit_batches", -1, "at least 1, or a share above 0.0 to 1.0"),
        ("gradient_clip_val", -1.0, "must be above 0"),
        ("gradient_clip_algorithm", "value", "clips nothing without trainer.gradient_clip_val"),
        ("timeout", 0, "must be a number of seconds above 0"),
        ("timeout", "long", "must be a number of seconds above 0"),
        ("strategy", "dpp", r"did you mean 'ddp'\? allowed: auto, ddp"),
        ("strategy", "ddp_spawn", "does not exist"),
        ("accelerator", "gpus", "did you mean 'gpu'"),
        ("precision", "transformer-engine", "does not exist; allowed: 16-mixed"),
        ("precision", "bf16", "did you mean 'bf16-"),
    ],
)
def test_a_value_that_cannot_train_is_refused(tiny_job: Job, option: str, value: object, message: str) -> None:
    with pytest.raises(BadInput, match=rf"trainer\.{option}.*{message}"):
        make_trainer(changed(tiny_job, {option: value}))


def test_a_limit_that_leaves_no_batch_is_refused(plan: Plan) -> None:
    with pytest.raises(BadInput, match=r"trainer\.limit_train_batches=0\.01 leaves nothing of \d+ batches"):
        plan("trainer.limit_train_batches=0.01")


def test_lightning_gets_no_limit_of_its_own(tiny_job: Job) -> None:
    limits = {"limit_train_batches": 3, "limit_val_batches": 0.5, "overfit_batches": 0.5}
    trainer = make_trainer(changed(tiny_job, limits))(logger=False)
    assert (trainer.limit_train_batches, trainer.limit_val_batches, trainer.overfit_batches) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    "options",
    [
        {"accelerator": "gpu", "devices": 64},
        {"accelerator": "cpu", "devices": -1},
        {"accelerator": "cpu", "devices": 0},
        {"accelerator": "cpu", "devices": "two"},
    ],
)
def test_a_missing_device_is_refused_in_every_job_of_a_sweep(tiny_job: Job, options: dict[str, object]) -> None:
    trainer = tiny_job.config.trainer
    check_devices([trainer])
    with pytest.raises(BadInput, match=rf"trainer\.devices={options['devices']}.* not on this machine"):
        check_devices([trainer, changed(tiny_job, options)])


def test_a_model_larger_than_memory_is_refused(plan: Plan) -> None:
    with pytest.raises(BadInput, match=r"model is too large: .* needs .* GB"):
        plan("model=mlp", "model.width=10000000", "model.depth=3")


@pytest.mark.parametrize("width", [10**20, 10**30])
def test_a_model_with_more_weights_than_torch_can_count_is_refused(plan: Plan, width: int) -> None:
    with pytest.raises(BadInput, match="model cannot be built"):
        plan("model=mlp", f"model.width={width}")
    assert torch.get_default_dtype() is torch.float32
