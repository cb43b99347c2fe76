"""One training: Lightning's Trainer with the callbacks a run needs, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn

from piecewise.journal.writer import Journal
from piecewise.training.datamodule import ResidentData
from piecewise.training.module import TrainingModule
from piecewise.training.path import MAX_PARAMETERS, ParameterPath
from piecewise.training.progress import Progress
from piecewise.training.quiet import quiet_lightning
from piecewise.training.recorder import Recorder
from piecewise.training.stop import StopInOrder


@dataclass(frozen=True)
class Outcome:
    """What a finished training leaves: the chosen weights, and how far it went."""

    weights: dict[str, Tensor]
    selected: str  # "best" or "last": a training too short for a validation has no best
    selected_step: int  # the step the weights are from
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
    best = ModelCheckpoint(options.checkpoints, "best", monitor="val/nll", enable_version_counter=False)
    # `save_last` would copy the best one each time it improves; without a metric to watch, the newest is kept.
    last = ModelCheckpoint(options.checkpoints, "last", enable_version_counter=False)
    recorder = Recorder(journal, options.log_every_n_steps)
    newest = options.checkpoints / "last.ckpt"
    is_small = sum(parameter.numel() for parameter in module.model.parameters()) <= MAX_PARAMETERS
    path = ParameterPath() if is_small else None
    # The checkpoint that StopInOrder leaves has everything that stands before it.
    callbacks: list[Callback] = [recorder, *filter(None, [path]), StopInOrder(newest, recorder), best, last]
    if options.early_stopping is not None:
        callbacks.append(EarlyStopping("val/nll", **options.early_stopping))
    if options.progress is not None:
        callbacks.append(Progress(options.progress))
    # Filling fresh memory would only help to find reads of memory never written, and costs a tenth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if not torch.cuda.is_available():
        # torch.optim looks for a GPU at every step, and without this opens the driver's library anew each time.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    with quiet_lightning():
        trainer = _make(make_trainer, callbacks, options)
        trainer.fit(module, datamodule=data, ckpt_path=newest if options.is_resumed and newest.is_file() else None)
    return _outcome(trainer, module.model, best, options.select, path)


def _make(make_trainer: Callable[..., pl.Trainer], callbacks: list[Callback], options: FitOptions) -> pl.Trainer:
    return make_trainer(
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=options.checkpoints,
    )


def _outcome(
    trainer: pl.Trainer, model: nn.Module, best: ModelCheckpoint, select: str, path: ParameterPath | None
) -> Outcome:
    weights, step, selected = model.state_dict(), trainer.global_step, "last"
    if select == "best" and best.best_model_path:
        selected = "best"
        checkpoint = load_checkpoint(Path(best.best_model_path))
        step = checkpoint["global_step"]
        prefix = "model."
        weights = {
            name.removeprefix(prefix): value
            for name, value in checkpoint["state_dict"].items()
            if name.startswith(prefix)
        }
    return Outcome(
        {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in weights.items()},
        selected,
        step,
        trainer.global_step,
        int(trainer.estimated_stepping_batches),
        trainer.current_epoch,
        numerics(trainer),
        path,
    )


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors and plain values; nothing in it can run. The only `torch.load` of the project."""
    return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]


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
