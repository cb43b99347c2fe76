"""From a job to the objects that train it: the only place where configurations become objects."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from piecewise.data.spec import DataSource, DataSpec
from piecewise.data.split import split
from piecewise.errors import BadInput
from piecewise.jobs.targets import check_arguments, fits, refuse_targets, resolve
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.training.schedule import Schedule

# Trainer arguments that training itself provides.
OURS = (
    "callbacks",
    "logger",
    "enable_progress_bar",
    "enable_model_summary",
    "num_sanity_val_steps",
    "default_root_dir",
)

# Options every data set has: how training uses it, whatever it is.
LOADING: dict[str, type] = {"val_fraction": float, "split_seed": int, "max_shift": int}


@dataclass(frozen=True)
class Parts:
    """What evaluation and training both need of a job; the model has fresh weights, drawn under the job's seed."""

    source: DataSource
    spec: DataSpec
    loss: NegativeLogLikelihood
    model: nn.Module


def build_parts(config: dict[str, Any], device: str = "cpu") -> Parts:
    """Data source, loss and model of a job. Raises BadInput, naming the key, if they do not fit together."""
    source = build_data(config["data"])
    spec = source.spec()
    loss = _construct(config["loss"], "loss", NegativeLogLikelihood)
    if loss.kind not in spec.kinds:
        kinds = " or ".join(sorted(spec.kinds))
        raise BadInput(
            f"loss={type(loss).__name__} fits {loss.kind} targets, but data={spec.name} has {kinds} targets; "
            f"allowed: {' '.join(_losses_for(spec))}"
        )
    return Parts(source, spec, loss, build_model(config, spec, loss, device))


def build_data(config: dict[str, Any]) -> DataSource:
    """The data source alone, without the options of its loading."""
    options = {key: value for key, value in config.items() if key not in LOADING}
    source: DataSource = _construct(options, "data", DataSource)
    return source


def build_model(config: dict[str, Any], spec: DataSpec, loss: NegativeLogLikelihood, device: str = "cpu") -> nn.Module:
    """The model, told by the data and the loss how many numbers come in and go out."""
    facts: dict[str, Any] = {
        "num_inputs": spec.num_inputs,
        "input_shape": spec.input_shape,
        "num_outputs": loss.num_outputs(spec),
        "num_classes": loss.num_outputs(spec),
    }
    torch.manual_seed(config["seed"])
    with torch.device(device):
        model: nn.Module = _construct(config["model"], "model", nn.Module, facts)
    if isinstance(model, NegativeLogLikelihood):  # a module, but no model
        raise BadInput(f"model._target_={config['model']['_target_']!r} is a loss; allowed: a model")
    return model


def make_optimizer(config: dict[str, Any]) -> Callable[[Any], Optimizer]:
    """What turns parameters into the job's optimizer."""
    target, arguments = _checked(config["optimizer"], "optimizer", Optimizer, given=("params",))
    return partial(target, **arguments)


def make_schedule(config: dict[str, Any]) -> Schedule | None:
    """The job's learning-rate schedule, or None."""
    if not config["scheduler"]:
        return None
    options = dict(config["scheduler"])
    interval = options.pop("interval", "step")
    if interval not in ("step", "epoch"):
        raise BadInput(f"scheduler.interval={interval!r} must be step or epoch")
    base = torch.optim.lr_scheduler.LRScheduler
    named = inspect.signature(resolve(options.get("_target_"), "scheduler._target_", base)).parameters
    given = [key for key in ("optimizer", "total_steps", "T_max") if key in named and key not in options]
    target, arguments = _checked(options, "scheduler", base, given)
    return Schedule(target, arguments, interval)


def make_trainer(config: dict[str, Any]) -> Callable[..., Any]:
    """Lightning's Trainer with the job's options."""
    from pytorch_lightning import Trainer

    target, arguments = _checked(config["trainer"], "trainer", Trainer, given=OURS)
    epochs, every = arguments.get("max_epochs"), arguments.get("check_val_every_n_epoch")
    if not isinstance(epochs, int) or epochs < 1:
        raise BadInput(f"trainer.max_epochs={epochs!r} must be a whole number of at least 1")
    if arguments.get("accelerator") == "auto":  # Apple's has no float64, which evaluation cannot do without
        arguments["accelerator"] = "cuda" if torch.cuda.is_available() else "cpu"
    if isinstance(every, int) and epochs < every:
        arguments["check_val_every_n_epoch"] = epochs  # a short training is validated too, once, at its end
    return partial(target, **arguments)


def check_devices(config: dict[str, Any]) -> None:
    """Refuse a trainer that this machine has no device for. Raises BadInput."""
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    from piecewise.training.quiet import quiet_lightning

    try:
        with quiet_lightning():
            make_trainer(config)(logger=False, enable_progress_bar=False, enable_model_summary=False)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise BadInput(f"trainer: {' '.join(str(error).split())}") from error


def loading_options(config: dict[str, Any]) -> dict[str, Any]:
    """`val_fraction`, `split_seed` and `max_shift` of a data configuration, with their types checked."""
    options = {}
    for key, wanted in LOADING.items():
        value: Any = config["data"].get(key, 0)
        if not fits(value, wanted) or value < 0:
            raise BadInput(f"data.{key}={value!r} must be a {wanted.__name__} of at least 0")
        options[key] = value
    return options


def global_batch_size(config: dict[str, Any], num_examples: int) -> int:
    """The configured number of examples per step; `all` is every training example. Raises BadInput if out of range."""
    size = config["batch_size"]
    if size == "all":
        return num_examples
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= num_examples:
        raise BadInput(
            f"batch_size={size!r} must be a whole number from 1 to the {num_examples} training examples, or all"
        )
    return size


def build_examples(config: dict[str, Any], parts: Parts) -> Any:
    """(train, val) of a job."""
    loading = loading_options(config)
    return split(parts.source.train(parts.loss.kind), loading["val_fraction"], loading["split_seed"])


def _construct(options: dict[str, Any], group: str, kind: type, facts: dict[str, Any] | None = None) -> Any:
    """An object of the class that `options` names. `facts` are passed where the class asks for them."""
    facts = facts or {}
    target, arguments = _checked(options, group, kind, tuple(facts))
    accepted = inspect.signature(target).parameters
    return target(**{key: value for key, value in facts.items() if key in accepted}, **arguments)


def _checked(options: Any, group: str, kind: type, given: Any = ()) -> tuple[type, dict[str, Any]]:
    if not isinstance(options, dict):
        raise BadInput(f"{group}={options!r} must be one of the group's files")
    arguments = {key: value for key, value in options.items() if key not in ("_target_", "_partial_")}
    refuse_targets(arguments, group)
    target = resolve(options.get("_target_"), f"{group}._target_", kind)
    return target, check_arguments(target, arguments, group, given)


def _losses_for(spec: DataSpec) -> list[str]:
    names = {"real": "squared_error", "binary": "bernoulli", "class": "categorical"}
    return [names[kind] for kind in sorted(spec.kinds)]
