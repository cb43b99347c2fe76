"""Which steps a training takes: one that begins again, instead of going on, ends with the same bits too."""

from __future__ import annotations

from typing import Any

import pytest

from piecewise.training.module import TrainingModule


def note_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled from now on: how many steps had been taken before each batch that is trained on."""
    noted: list[int] = []
    whole = TrainingModule.training_step

    def training_step(self: TrainingModule, *arguments: Any) -> Any:
        noted.append(self.trainer.global_step)
        return whole(self, *arguments)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    return noted
