"""The typed root of every configuration. The options of a group have no type here: their target checks them."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from piecewise.jobs.config import About, EarlyStopping


@dataclass
class Config:
    """One job as Hydra composes it."""

    about: About = field(default_factory=About)
    seed: int = 0
    batch_size: Any = 64  # a number of examples, or "all"
    select: str = "best"  # the weights to keep: "best" by val/nll, or "last"
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    log_every_n_steps: int = 50  # train/nll is read after the first step, every n-th and the last
    evaluate: bool = True
    figures: str = "auto"  # "auto" (a run's own; of a sweep one for all its runs), "all" (of its runs too) or "none"
    on_error: str = "continue"  # when a job of a sweep fails: "continue", "stop" or "stop_after:N"
    log_model: str = "best"  # models for MLflow: "best" (of comparable jobs, the best one's), "all" or "none"
    data: Any = MISSING
    model: Any = MISSING
    loss: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = None
    trainer: Any = MISSING
    tracking: Any = None
    executor: Any = None
