"""How far runs have been brought to a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from piecewise.tracking.mirror.points import Points


@dataclass
class Live:
    """How far this process has brought a run."""

    run_id: str  # MLflow's
    points: Points
    beat: float = 0.0
    has_ended: bool = False  # and its state says so


Followed = dict[Path, tuple[str, Live | None]]  # by journal: our id of its run, and how far it is


@dataclass(frozen=True)
class Brought:
    """What was missing of a run and no longer is."""

    title: str
    points: int
    files: int
    model: bool

    def __str__(self) -> str:
        what = [f"{self.points} points", f"{self.files} files", *(["its model"] if self.model else [])]
        return f"{self.title}: {', '.join(what)}"
