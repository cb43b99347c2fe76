"""A trial step of a small job, after which libraries have filled the caches that every training fills."""

import contextlib
from typing import Any

from piecewise.execution.trial import check_steps
from piecewise.jobs.job import Job

CONFIG: dict[str, Any] = {
    "seed": 0,
    "batch_size": 2,
    "select": "best",
    "early_stopping": {"patience": None, "min_delta": 0.0},
    "log_every_n_steps": 50,
    "evaluate": True,
    "log_model": "none",
    "data": {"_target_": "piecewise.data.regression.Curve1d", "folder": None, "num_train": 4, "val_fraction": 0.5},
    "model": {"_target_": "piecewise.models.shallow.Shallow", "width": 2},
    "loss": {"_target_": "piecewise.losses.squared_error.SquaredError"},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
    "scheduler": None,
    "trainer": {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "devices": 1, "max_epochs": 1},
    "tracking": None,
}


def warm_up() -> None:
    """Take the step, if it is possible. It takes a tenth of a second, and saves each process a fortieth."""
    with contextlib.suppress(Exception):  # jobs that cannot train say why themselves
        check_steps([Job("warm-up", (), CONFIG)])
