"""One training: Lightning's Trainer with the callbacks that a run needs, and its outcome."""

import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch import Tensor, nn

from piecewise import process_settings, terminal
from piecewise.journal.writer import Journal
from piecewise.training import checkpoint_files
from piecewise.training.checkpoints import KeepCheckpoints, SealedCheckpoints, UnwrittenCheckpoints
from piecewise.training.datamodule import ResidentData
from piecewise.training.module import TrainingModule
from piecewise.training.parameter_path import MAX_PARAMETERS, ParameterPath
from piecewise.training.progress import Progress
from piecewise.training.quiet_lightning import quiet_lightning
from piecewise.training.recorder import MachineMetrics, Recorder
from piecewise.training.step_speed import SMALL_STEP, implementation_of, num_operations
from piecewise.training.strategy import rank_failures_explained


@dataclass(frozen=True)
class Outcome:
    """The chosen weights of a finished training, and how far it went. The result file has no `weights` and `path`."""

    weights: dict[str, Tensor]
    selected: str  # "best" or "last"; without a validation there is no best
    selected_step: int  # after which step the weights were taken
    val_nll: float | None  # of these weights, or the last one measured; None without a validation
    steps: int
    steps_planned: int
    epochs: int
    numerics: dict[str, Any]
    path: ParameterPath | None  # None for a large model


@dataclass(frozen=True)
class FitOptions:
    """How to train, besides module and data."""

    checkpoints: Path | None  # the folder for checkpoints; None: nothing is written
    select: str = "best"  # "best" by val/nll, or "last"
    early_stopping: dict[str, Any] | None = None
    log_every_n_steps: int = 50
    progress: str | None = None  # the bar's label
    is_resumed: bool = False  # from the newest checkpoint, if there is one


def fit(
    module: TrainingModule,
    data: ResidentData,
    make_trainer: Callable[..., pl.Trainer],
    journal: Journal | None,
    options: FitOptions,
) -> Outcome:
    """Train to the end. `make_trainer` receives the Trainer arguments that a job cannot choose."""
    recorder = Recorder(module, journal, options.log_every_n_steps)
    checkpoints = KeepCheckpoints(options.checkpoints or Path())
    is_small = sum(parameter.numel() for parameter in module.model.parameters()) <= MAX_PARAMETERS
    path = ParameterPath(data.length.steps) if is_small else None
    callbacks: list[Callback] = [recorder, *filter(None, [path]), checkpoints]
    if journal is not None:
        callbacks.append(MachineMetrics(journal))
    if options.early_stopping is not None:
        # Checked at the end of each validation, before a checkpoint is saved.
        callbacks.append(EarlyStopping("val/nll", check_on_train_epoch_end=False, **options.early_stopping))
    if options.progress is not None:
        callbacks.append(Progress(options.progress, module, data.length.steps))
    with process_settings.training(), quiet_lightning():
        trainer = make_trainer(
            callbacks=callbacks,
            plugins=[SealedCheckpoints() if options.checkpoints else UnwrittenCheckpoints()],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=options.checkpoints,
        )
        # Lightning converts the module after loading a checkpoint, which would round float64 values to float32.
        trainer.strategy.precision_plugin.convert_module(module)
        with rank_failures_explained(trainer), threads_for(trainer, module.model, data):
            trainer.fit(module, datamodule=data, ckpt_path=_first_checkpoint(trainer, options))
            return _outcome(trainer, module.model, checkpoints, options.select, path, data)


def threads_for(trainer: pl.Trainer, model: nn.Module, data: ResidentData) -> AbstractContextManager[None]:
    """One thread for small steps on a CPU: more would wait for each other longer than they compute."""
    input_shape, batch_size = data.sets[0].x.shape[1:], data.length.batch_size / trainer.world_size
    has_threads = trainer.strategy.root_device.type == "cpu" and torch.get_num_threads() > 1
    is_small = has_threads and num_operations(model, input_shape, batch_size) < SMALL_STEP
    return process_settings.one_thread() if is_small else contextlib.nullcontext()


def _first_checkpoint(trainer: pl.Trainer, options: FitOptions) -> Path | None:
    """The checkpoint to resume from. A new training has none, and removes those in its folder."""
    if options.checkpoints is None:
        return None
    if options.is_resumed:
        found = checkpoint_files.newest(options.checkpoints)
        if found is None and trainer.is_global_zero and any(options.checkpoints.glob("*.ckpt")):
            terminal.warn(f"{options.checkpoints} has no whole checkpoint: the training begins again")
        return found
    if trainer.is_global_zero:
        checkpoint_files.remove_all(options.checkpoints)
    return None


def _outcome(
    trainer: pl.Trainer,
    model: nn.Module,
    checkpoints: KeepCheckpoints,
    select: str,
    path: ParameterPath | None,
    data: ResidentData,
) -> Outcome:
    weights, selected, step, nll = model.state_dict(), "last", trainer.global_step, checkpoints.last_nll
    if select == "best" and checkpoints.best_weights is not None:
        weights, selected, step, nll = checkpoints.best_weights, "best", checkpoints.best_step, checkpoints.best_nll
    contiguous = torch.contiguous_format
    return Outcome(
        weights={name: value.detach().cpu().clone(memory_format=contiguous) for name, value in weights.items()},
        selected=selected,
        selected_step=step,
        val_nll=nll,
        steps=trainer.global_step,
        steps_planned=data.length.steps,
        epochs=data.num_epochs,
        numerics=numerics(trainer),
        path=path,
    )


def numerics(trainer: pl.Trainer) -> dict[str, Any]:
    """What decides the last bits of a result, besides the job. Recorded with every run, part of no key."""
    device = trainer.strategy.root_device
    is_cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if is_cuda else device.type,
        **({"visible_devices": os.environ.get(process_settings.VISIBLE_GPUS, "all")} if is_cuda else {}),
        "world_size": trainer.world_size,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
        "optimizer": implementation_of(trainer.optimizers[0]),
        "torch": torch.__version__,
        "packed": False,
    }
