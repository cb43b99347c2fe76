"""Train the model of one job with Lightning, and say what came of it."""

from __future__ import annotations

from typing import Any

from piecewise.data.stored import digest_tensors
from piecewise.execution.request import Request
from piecewise.jobs import build
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import make_trainer
from piecewise.journal.writer import Journal
from piecewise.training.datamodule import ResidentData
from piecewise.training.fit import FitOptions, Outcome, fit
from piecewise.training.module import TrainingModule
from piecewise.training.weights_file import write_weights


def fit_job(job: Job, parts: Parts, request: Request, journal: Journal | None) -> dict[str, Any]:
    """Train until the last step or until early stopping, and write the weights. Returns the run's result.

    Of several ranks only the first has a journal; the others write no files.
    """
    config = job.config
    train_set, val_set = parts.examples
    batch_size = config.global_batch_size(len(train_set))
    data = ResidentData(train_set, val_set, batch_size, config.seed, config.data.max_shift)
    module = TrainingModule(parts.model, parts.loss, build.make_optimizer(config), build.make_schedule(config))
    options = FitOptions(
        request.folder.checkpoints,
        config.select,
        vars(config.early_stopping) if config.early_stopping.patience else None,
        config.log_every_n_steps,
        job.title if request.has_progress and journal is not None else None,
        request.is_resumed,
    )
    outcome = fit(module, data, make_trainer(config.trainer), journal, options)
    if journal is not None:
        write_weights(request.folder.weights, outcome.weights, job.frozen)
        if outcome.path is not None:
            outcome.path.write(request.folder.path)
    return _result(parts, outcome)


def _result(parts: Parts, outcome: Outcome) -> dict[str, Any]:
    train_set, val_set = parts.examples
    return {
        "status": "FINISHED",
        "steps": outcome.steps,
        "steps_planned": outcome.steps_planned,
        "epochs": outcome.epochs,
        "selected": outcome.selected,
        "selected_step": outcome.selected_step,
        "val_nll": outcome.val_nll,
        "num_parameters": sum(parameter.numel() for parameter in parts.model.parameters()),
        "num_train": len(train_set),
        "num_val": len(val_set),
        "numerics": outcome.numerics,
        "weights_digest": digest_tensors(outcome.weights),
    }
