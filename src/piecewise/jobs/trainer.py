"""Lightning's Trainer from a job: the options that a user may choose, and their allowed values."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import torch

from piecewise import process_settings
from piecewise.errors import BadInput, nearest
from piecewise.jobs.config import Component, TrainerConfig
from piecewise.jobs.targets import checked_target

# Not allowed: Trainer arguments that training provides, that end a run early, or that write files.
CHOICES = {
    "accelerator": ("auto", "cpu", "gpu", "cuda"),
    "strategy": ("auto", "ddp"),
    "precision": ("64-true", "32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true"),
    "gradient_clip_algorithm": ("norm", "value"),
}
COUNTS = ("max_epochs", "max_steps", "num_nodes", "accumulate_grad_batches", "check_val_every_n_epoch")
SHARES = ("limit_train_batches", "limit_val_batches", "overfit_batches")  # a share (float) or a number (int) of batches
OTHERS = ("devices", "gradient_clip_val", "deterministic", "benchmark", "sync_batchnorm", "detect_anomaly")
OPTIONS = (*CHOICES, *COUNTS, *SHARES, *OTHERS, "timeout")
UNSET = {"max_steps": -1, "overfit_batches": 0}  # Lightning's values for "no limit"
TIMEOUT_SECONDS = 120  # how long a rank waits for another rank that has started
NO_PRECISION = ("16-mixed", "cpu")  # precision and accelerator that do not exist together
LARGEST_COUNT = 10**9  # larger values are mistakes


def make_trainer(trainer: TrainerConfig) -> Callable[..., Any]:
    """A function that makes Lightning's Trainer with the job's options. Raises BadInput, naming the key."""
    from pytorch_lightning import Trainer

    options = dict(trainer.options)
    timeout = options.pop("timeout", TIMEOUT_SECONDS)  # an argument of Lightning's strategy, not of its Trainer
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= LARGEST_COUNT:
        raise BadInput(f"trainer.timeout={timeout!r} must be a number of seconds above 0")
    target, arguments = checked_target(Component(trainer.group, trainer.target, options), Trainer)
    for key, value in arguments.items():
        _check_option(key, value)
    if arguments.get("max_epochs") is None:
        raise BadInput("trainer.max_epochs is missing: the number of passes through the training examples")
    if (algorithm := arguments.get("gradient_clip_algorithm")) and not arguments.get("gradient_clip_val"):
        raise BadInput(f"trainer.gradient_clip_algorithm={algorithm} clips nothing without trainer.gradient_clip_val")
    arguments["accelerator"] = accelerator(arguments)
    if (arguments.get("precision"), arguments["accelerator"]) == NO_PRECISION:
        raise BadInput(
            "trainer.precision=16-mixed: a CPU has none and would give the results of bf16-mixed; allowed: a GPU "
            "(trainer.accelerator=gpu), or another run with trainer.precision=bf16-mixed"
        )
    for key in ("deterministic", "benchmark"):  # null would leave what an earlier training of this process has set
        arguments[key] = arguments.get(key) or False
    for key in SHARES:  # the loaders apply them; Lightning would limit each rank, and validation by overfit_batches
        arguments.pop(key, None)
    if not trainer.may_use_ranks:
        return partial(target, **arguments)
    has_gpus = arguments["accelerator"] in ("gpu", "cuda")
    if arguments.get("sync_batchnorm") is None:
        arguments["sync_batchnorm"] = has_gpus
    if arguments["sync_batchnorm"] and not has_gpus:
        raise BadInput("trainer.sync_batchnorm=True needs GPUs; allowed for several processes on CPUs: null, false")
    return partial(_make_ddp, target, arguments, timeout)


def accelerator(options: Mapping[str, Any]) -> Any:
    """The accelerator that the Trainer's options choose on this machine. Apple's GPUs lack float64 for evaluation."""
    chosen = options.get("accelerator") or "auto"
    return chosen if chosen != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def with_real_precision(config: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A job's configuration with the precision that this machine computes in, and a note of what was changed.

    Lightning runs 16-mixed as bf16-mixed on a CPU, which has no other mixed precision.
    """
    trainer = config.get("trainer")
    if not isinstance(trainer, dict) or (trainer.get("precision"), accelerator(trainer)) != NO_PRECISION:
        return config, []
    note = "trainer.precision=16-mixed is bf16-mixed on a CPU: the job says trainer.precision=bf16-mixed"
    return config | {"trainer": trainer | {"precision": "bf16-mixed"}}, [note]


def _make_ddp(target: Callable[..., Any], arguments: dict[str, Any], timeout: float, **provided: Any) -> Any:
    """A Trainer whose ranks wait at most `timeout` seconds for each other; PyTorch's default is 30 minutes."""
    from piecewise.training.strategy import DDPWithTimeouts

    return target(**arguments | {"strategy": DDPWithTimeouts(timedelta(seconds=timeout))}, **provided)


def check_devices(trainers: Iterable[TrainerConfig]) -> None:
    """Raise BadInput for a trainer whose devices this machine does not have."""
    from piecewise.training.quiet_lightning import quiet_lightning

    for trainer in {repr(trainer): trainer for trainer in trainers}.values():  # each trainer once
        make = make_trainer(trainer)
        try:
            with process_settings.training(), quiet_lightning():
                make(logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False)
        except Exception as error:  # Lightning raises many types for a missing device
            shown = {key: trainer.options.get(key) for key in ("accelerator", "devices", "strategy", "precision")}
            options = ", ".join(f"trainer.{key}={value}" for key, value in shown.items() if value is not None)
            raise BadInput(f"{options}: not on this machine: {' '.join(str(error).split())}") from error


def _check_option(key: str, value: Any) -> None:
    if key not in OPTIONS:
        raise BadInput(f"trainer.{key}={value!r} is no option; {nearest(key, OPTIONS)}")
    if value is None or value == UNSET.get(key):
        return
    if key in CHOICES and str(value) not in CHOICES[key]:
        raise BadInput(f"trainer.{key}={value!r} does not exist; {nearest(str(value), CHOICES[key])}")
    if key in COUNTS and not 1 <= value <= LARGEST_COUNT:
        raise BadInput(f"trainer.{key}={value!r} must be a whole number from 1 to {LARGEST_COUNT}")
    if key in SHARES and not (value >= 1 if isinstance(value, int) else 0 < value <= 1):
        raise BadInput(f"trainer.{key}={value!r} must be a number of batches, at least 1, or a share above 0.0 to 1.0")
    if key == "gradient_clip_val" and not value > 0:
        raise BadInput(f"trainer.{key}={value!r} must be above 0, or null")
