"""One training: Lightning's Trainer with the callbacks a run needs, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
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
from piecewise.training.checkpoints import KeepCheckpoints, SealedCheckpoints
from piecewise.training.datamodule import ResidentData
from piecewise.training.machine_metrics import MachineMetrics
from piecewise.training.module import TrainingModule
from piecewise.training.parameter_path import MAX_PARAMETERS, ParameterPath
from piecewise.training.progress import Progress
from piecewise.training.quiet import quiet_lightning
from piecewise.training.rank_failures import lost_ranks
from piecewise.training.recorder import Recorder


@dataclass(frozen=True)
class Outcome:
    """What a finished training leaves: the chosen weights, and how far it went."""

    weights: dict[str, Tensor]
    selected: str  # "best" or "last": a training too short for a validation has no best
    selected_step: int  # the step the weights are from
    val_nll: float | None  # of these weights, or the last that was measured; None without a validation
    steps: int
    steps_planned: int
    epochs: int
    numerics: dict[str, Any]
    path: ParameterPath | None  # of a small model


@dataclass(frozen=True)
class FitOptions:
    """What is asked of a training besides its module and data."""

    checkpoints: Path
    select: str = "best"  # "best" by val/nll, or "last"
    early_stopping: dict[str, Any] | None = None
    log_every_n_steps: int = 50
    progress: str | None = None  # the bar's label
    is_resumed: bool = False  # go on from the newest checkpoint, if there is one


def fit(
    module: TrainingModule,
    data: ResidentData,
    make_trainer: Callable[..., pl.Trainer],
    journal: Journal | None,
    options: FitOptions,
) -> Outcome:
    """Train to the end. `make_trainer` takes the Trainer arguments that are not the user's to choose."""
    recorder = Recorder(journal, options.log_every_n_steps)
    checkpoints = KeepCheckpoints(options.checkpoints, recorder)
    is_small = sum(parameter.numel() for parameter in module.model.parameters()) <= MAX_PARAMETERS
    path = ParameterPath() if is_small else None
    callbacks: list[Callback] = [recorder, *filter(None, [path]), checkpoints]
    if journal is not None:
        callbacks.append(MachineMetrics(journal))
    if options.early_stopping is not None:
        # After the validation itself, and so before the checkpoint that may follow it.
        callbacks.append(EarlyStopping("val/nll", check_on_train_epoch_end=False, **options.early_stopping))
    if options.progress is not None:
        callbacks.append(Progress(options.progress))
    with process_settings.training(), quiet_lightning():
        trainer = _make(make_trainer, callbacks, options)
        # Lightning does so after it has loaded a checkpoint, and would cut its float64 to the model's float32.
        trainer.strategy.precision_plugin.convert_module(module)
        with lost_ranks(trainer):
            trainer.fit(module, datamodule=data, ckpt_path=_begin(trainer, options))
    return _outcome(trainer, module.model, checkpoints, options.select, path, data.num_epochs)


def _begin(trainer: pl.Trainer, options: FitOptions) -> Path | None:
    """The checkpoint to go on from; none for a training that begins, and then none are left in its folder."""
    if options.is_resumed:
        found = checkpoint_files.newest(options.checkpoints)
        if found is None and trainer.is_global_zero and any(options.checkpoints.glob("*.ckpt")):
            terminal.warn(f"{options.checkpoints} has no whole checkpoint: the training begins again")
        return found
    if trainer.is_global_zero:
        checkpoint_files.forget(options.checkpoints)
    return None


def _make(make_trainer: Callable[..., pl.Trainer], callbacks: list[Callback], options: FitOptions) -> pl.Trainer:
    return make_trainer(
        callbacks=callbacks,
        plugins=[SealedCheckpoints()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=options.checkpoints,
    )


def _outcome(
    trainer: pl.Trainer,
    model: nn.Module,
    checkpoints: KeepCheckpoints,
    select: str,
    path: ParameterPath | None,
    epochs: int,
) -> Outcome:
    weights, step, selected, nll = model.state_dict(), trainer.global_step, "last", checkpoints.last_nll
    if select == "best" and checkpoints.best_weights is not None:
        weights, step, selected = checkpoints.best_weights, checkpoints.best_step, "best"
        nll = checkpoints.best_nll
    return Outcome(
        {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in weights.items()},
        selected,
        step,
        nll,
        trainer.global_step,
        int(trainer.estimated_stepping_batches),
        epochs,
        numerics(trainer),
        path,
    )


def numerics(trainer: pl.Trainer) -> dict[str, Any]:
    """What decides the last bits of a result besides the job: recorded with every run, part of no key."""
    device = trainer.strategy.root_device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "world_size": trainer.world_size,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "packed": False,
    }
