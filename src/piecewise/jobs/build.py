"""Build the objects that a job names, and check that they fit together."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from piecewise.data.spec import DataSource, DataSpec, Examples, TargetKind
from piecewise.data.split import num_validation, split
from piecewise.errors import BadInput
from piecewise.jobs.config import DataConfig, JobConfig
from piecewise.jobs.targets import checked_target, construct, resolve
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.training.length import Length
from piecewise.training.schedule import Schedule
from piecewise.training.step_speed import implementation

# The options of `loss`, by the kind of targets they fit.
LOSSES: dict[TargetKind, tuple[str, ...]] = {
    TargetKind.REAL: ("squared_error", "heteroscedastic", "laplace", "student_t", "mixture", "multivariate_normal"),
    TargetKind.POSITIVE: ("exponential", "gamma"),
    TargetKind.PROPORTION: ("beta",),
    TargetKind.ANGLE: ("von_mises",),
    TargetKind.BINARY: ("bernoulli",),
    TargetKind.CLASS: ("categorical",),
    TargetKind.COUNT: ("poisson",),
    TargetKind.RANKING: ("plackett_luce",),
}


@dataclass(frozen=True)
class Parts:
    """The objects of one job. They are built once; training hands them on to what follows it.

    The model starts with weights drawn under the job's seed.
    """

    config: JobConfig
    source: DataSource
    spec: DataSpec
    loss: NegativeLogLikelihood
    model: nn.Module

    @property
    def num_train(self) -> int:
        """The number of training examples without the validation split. Nothing is read."""
        return self.spec.num_train - num_validation(self.spec.num_train, self.config.data.val_fraction)

    @cached_property
    def length(self) -> Length:
        """How long the training is. Raises BadInput, naming the key, if a limit leaves nothing. Nothing is read."""
        batch_size = self.config.global_batch_size(self.num_train)
        num_val = self.spec.num_train - self.num_train
        return Length.of(self.num_train, num_val, batch_size, self.config.trainer.options)

    @cached_property
    def examples(self) -> tuple[Examples, Examples]:
        """(train, val), read and split when they are first asked for."""
        train = self.source.train(self.loss.kind)
        return split(train, self.config.data.val_fraction, self.config.data.split_seed)


def build_parts(config: JobConfig, device: str = "cpu") -> Parts:
    """Data source, loss and model of a job. Raises BadInput, naming the key, if they do not fit together."""
    source = build_data(config.data)
    spec = source.spec()
    loss = construct(config.loss, NegativeLogLikelihood)
    if loss.kind not in spec.kinds:
        kinds = " or ".join(sorted(spec.kinds))
        allowed = " ".join(name for kind in sorted(spec.kinds) for name in LOSSES[kind])
        raise BadInput(
            f"loss={type(loss).__name__} fits {loss.kind} targets, but data={spec.name} has {kinds} targets; "
            f"allowed: {allowed}"
        )
    return Parts(config, source, spec, loss, build_model(config, spec, loss, device))


def build_data(config: DataConfig) -> DataSource:
    """The data source alone."""
    source: DataSource = construct(config, DataSource)
    return source


def build_model(config: JobConfig, spec: DataSpec, loss: NegativeLogLikelihood, device: str = "cpu") -> nn.Module:
    """The model, with as many inputs and outputs as the data and the loss need."""
    facts: dict[str, Any] = {
        "num_inputs": spec.num_inputs,
        "input_shape": spec.input_shape,
        "num_outputs": loss.num_outputs(spec),
        "num_classes": loss.num_outputs(spec),
    }
    if str(config.model.target).startswith("piecewise.losses."):  # losses are modules too
        raise BadInput(f"model._target_={config.model.target!r} is a loss; allowed: a model")
    torch.manual_seed(config.seed)  # as in plain PyTorch, which then draws the same weights
    try:
        with torch.device(device):
            model: nn.Module = construct(config.model, nn.Module, facts)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"model cannot be built: {str(error).splitlines()[0]}") from error
    return model


def make_optimizer(config: JobConfig) -> Callable[[Iterable[nn.Parameter]], Optimizer]:
    """A function from parameters to the job's optimizer, in the implementation that `step_speed` chooses."""
    target, arguments = checked_target(config.optimizer, Optimizer, given=("params",))
    trainer = config.trainer.options
    # Lightning refuses to clip gradients for fused optimizers in mixed precision.
    is_clipped = trainer.get("gradient_clip_val") is not None and "mixed" in str(trainer.get("precision"))

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        weights = list(parameters)
        made: Optimizer = target(weights, **arguments | implementation(target, arguments, weights, not is_clipped))
        return made

    return make


def check_repeated_losses(config: JobConfig) -> None:
    """Raise BadInput if the optimizer computes the loss several times for a step, and this loss is not of all examples.

    Such is LBFGS. Of accumulated batches, Lightning repeats only the last. Each rank has the loss of its own share,
    which decides how often it repeats; ranks that repeat differently often cannot exchange gradients.
    """
    target: type[Optimizer] = resolve(config.optimizer.target, "optimizer._target_", Optimizer)
    closure = inspect.signature(target.step).parameters.get("closure")
    if closure is None or closure.default is not inspect.Parameter.empty:
        return
    trainer, key = config.trainer, "accumulate_grad_batches"
    is_alone = not trainer.may_use_ranks or trainer.options.get("devices") == trainer.planned_ranks == 1
    if is_alone and trainer.options.get(key, 1) == 1:
        return
    keys = [key] if is_alone else [name for name in ("devices", "num_nodes") if trainer.options.get(name, 1) != 1]
    wrong = ", ".join(f"trainer.{name}={trainer.options.get(name)!r}" for name in keys)
    raise BadInput(
        f"{wrong}: {target.__name__} computes the loss of a batch several times for each step; allowed: 1"
        f"{' (a larger batch_size has the same effect)' if is_alone else ''}, or another optimizer"
    )


def make_schedule(config: JobConfig) -> Schedule | None:
    """The job's learning-rate schedule, or None."""
    if config.scheduler is None:
        return None
    options = dict(config.scheduler.options)
    interval = options.pop("interval", "step")
    if interval not in ("step", "epoch"):
        raise BadInput(f"scheduler.interval={interval!r} must be step or epoch")
    base = torch.optim.lr_scheduler.LRScheduler
    named = inspect.signature(resolve(config.scheduler.target, "scheduler._target_", base)).parameters
    given = [key for key in ("optimizer", "total_steps", "T_max") if key in named and key not in options]
    target, arguments = checked_target(replace(config.scheduler, options=options), base, given)
    return Schedule(target, arguments, interval)
