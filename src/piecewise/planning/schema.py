"""The typed root of every configuration. What a group's file holds is checked against its target, not typed here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from piecewise.jobs.config import About, EarlyStopping


@dataclass
class Config:
    """One job before it is frozen."""

    about: About = field(default_factory=About)
    seed: int = 0
    batch_size: Any = 64  # a number of examples, or "all"
    select: str = "best"  # which weights are kept: "best" by val/nll, or "last"
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    log_every_n_steps: int = 50
    evaluate: bool = True
    log_model: str = "best"  # whose models MLflow gets: every single run's and of a sweep the best one's; "all"; "none"
    data: Any = MISSING
    model: Any = MISSING
    loss: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = None
    trainer: Any = MISSING
    tracking: Any = None
