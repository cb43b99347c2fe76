"""Notes the steps of a training: a restarted training ends with the same bits as a resumed one."""

from __future__ import annotations

from typing import Any

import pytest

from piecewise.training.module import TrainingModule


def note_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that receives, for each training batch from now on, the number of steps before it."""
    noted: list[int] = []
    whole = TrainingModule.training_step

    def training_step(self: TrainingModule, *arguments: Any) -> Any:
        noted.append(self.trainer.global_step)
        return whole(self, *arguments)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    return noted
