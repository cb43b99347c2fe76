"""Records the steps of a training, because a resumed and a restarted training end with the same bits."""

from __future__ import annotations

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
