"""Records the steps of a training, because a resumed and a restarted one end with the same bits; or stops it at one."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from piecewise.training.module import TrainingModule


def note_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list to which each later training batch appends the number of steps before it."""
    noted: list[int] = []
    original = TrainingModule.training_step

    def training_step(self: TrainingModule, *arguments: Any) -> Any:
        noted.append(self.trainer.global_step)
        return original(self, *arguments)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    return noted


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGTERM) -> None:
    """Send one signal in the middle of a step, in its first batch."""
    original = TrainingModule.training_step
    sent: list[int] = []

    def training_step(self: TrainingModule, *arguments: Any) -> Any:
        if self.trainer.global_step + 1 == step and not sent:
            sent.append(step)
            os.kill(os.getpid(), number)
        return original(self, *arguments)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
