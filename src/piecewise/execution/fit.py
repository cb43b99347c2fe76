"""Train the model of one job with Lightning, and say what came of it."""

import sys
from typing import Any

import yaml
from safetensors.torch import save

from piecewise import terminal
from piecewise.data.stored import digest_tensors
from piecewise.durable import write_atomic
from piecewise.execution.ranks import Request
from piecewise.jobs import build
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import make_trainer
from piecewise.journal.writer import Journal
from piecewise.training.datamodule import ResidentData
from piecewise.training.fit import FitOptions, fit
from piecewise.training.module import TrainingModule


def fit_job(job: Job, parts: Parts, request: Request, journal: Journal | None) -> dict[str, Any]:
    """Train until the last step or until early stopping, and return the run's result.

    The model is written as files without code: its weights in safetensors, its configuration in YAML. Of several ranks
    only the first has a journal and writes files.
    """
    config = job.config
    train_set, val_set = parts.examples
    data = ResidentData(train_set, val_set, parts.length, config.seed, config.data.max_shift)
    module = TrainingModule(parts.model, parts.loss, build.make_optimizer(config), build.make_schedule(config))
    options = FitOptions(
        request.folder.checkpoints,
        config.select,
        vars(config.early_stopping) if config.early_stopping.patience else None,
        config.log_every_n_steps,
        job.title if journal is not None and sys.stderr.isatty() and not terminal.is_quiet() else None,
        request.is_resumed,
    )
    outcome = fit(module, data, make_trainer(config.trainer), journal, options)
    if journal is not None:
        text = yaml.safe_dump(job.frozen, sort_keys=True, allow_unicode=True)
        write_atomic(request.folder.weights.with_suffix(".yaml"), text.encode())
        write_atomic(request.folder.weights, save(outcome.weights))
        if outcome.path is not None:
            outcome.path.write(request.folder.parameter_path)
    return {
        "status": "FINISHED",
        **{key: value for key, value in vars(outcome).items() if key not in ("weights", "path")},
        "num_parameters": sum(parameter.numel() for parameter in parts.model.parameters()),
        "num_train": len(train_set),
        "num_val": len(val_set),
        "weights_digest": digest_tensors(outcome.weights),
    }
