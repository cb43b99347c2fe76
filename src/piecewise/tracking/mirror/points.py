"""Sending a journal's metrics to MLflow: each point once, in batches, with memory independent of the run's length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.durable import records_from
from piecewise.journal.records import Metrics

if TYPE_CHECKING:
    from mlflow.entities import Metric

MAX_METRICS = 1000  # that MLflow accepts in one batch
KINDS = ("metrics", "system")  # kinds of records that hold points
INFINITE = "infinite."  # prefix of a tag that keeps the sign of an infinite point: MLflow's databases cannot store it
Repeated = frozenset[tuple[str, int]]  # (metric, step) pairs


@dataclass(frozen=True)
class Progress:
    """How far a journal has been sent."""

    position: int = 0  # the byte after the last record sent
    last_steps: dict[str, int] = field(default_factory=dict)  # of each metric, since the last start or resume
    # The points, by kind, that were recorded before a resume and are recorded again after it. They are looked up at
    # the first record after the resume: its step is the lowest.
    repeated: dict[str, Repeated] = field(default_factory=lambda: dict.fromkeys(KINDS, frozenset()))


class Points:
    """Follows one journal. It keeps the last step of each metric and the repeated points, not all points sent.

    A resumed run repeats the steps after its checkpoint with the same values; each point is sent once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._progress = Progress()

    def unsent(self) -> Iterator[tuple[list[Metric], dict[str, str]]]:
        """New points in batches, with tags about them. If the caller fails to send one, the next call repeats it."""
        for entries, progress in self._batches():
            yield as_mlflow(entries)
            self._progress = progress

    def _batches(self) -> Iterator[tuple[list[Metrics], Progress]]:
        progress = self._progress
        batch: list[Metrics] = []
        size = 0
        for entry, after in records_from(self.path, progress.position):
            kind = entry["kind"]
            if kind == "start":  # a new run in the same file: forget the old one
                batch, size, progress = [], 0, Progress()
            elif kind == "resume":
                progress = replace(progress, last_steps={}, repeated={})
            values: dict[str, float] = {}
            if kind in KINDS:
                if kind not in progress.repeated:
                    earlier = self._recorded(kind, entry["step"], progress.position)
                    progress = replace(progress, repeated=progress.repeated | {kind: earlier})
                values = _new_values(entry, progress)
            if batch and size + len(values) > MAX_METRICS:
                yield batch, progress
                batch, size = [], 0
            if values:
                batch.append(Metrics(entry["time"], entry["step"], values))
                size += len(values)
            last_steps = progress.last_steps | dict.fromkeys(values, entry["step"]) if values else progress.last_steps
            progress = Progress(after, last_steps, progress.repeated)
        if batch:
            yield batch, progress
        self._progress = progress

    def _recorded(self, kind: str, first_step: int, before: int) -> Repeated:
        """The points of a kind, from `first_step` on, in the journal's first `before` bytes."""
        found: set[tuple[str, int]] = set()
        for entry, after in records_from(self.path, 0):
            if after > before:
                break
            if entry["kind"] == "start":
                found.clear()
            elif entry["kind"] == kind and entry["step"] >= first_step:
                found.update((key, entry["step"]) for key in entry["values"])
        return frozenset(found)


def _new_values(entry: dict[str, Any], progress: Progress) -> dict[str, float]:
    step, repeated = entry["step"], progress.repeated[entry["kind"]]
    return {
        key: value
        for key, value in entry["values"].items()
        if step > progress.last_steps.get(key, -1) and (key, step) not in repeated
    }


def as_mlflow(entries: Sequence[Metrics]) -> tuple[list[Metric], dict[str, str]]:
    """Records as MLflow's points, and tags for the infinite ones, which are sent as NaN."""
    from mlflow.entities import Metric

    metrics, tags = [], {}
    for entry in entries:
        for key, value in entry.values.items():
            if math.isinf(value):
                tags[INFINITE + key] = f"{value} at step {entry.step}"
            shown = math.nan if math.isinf(value) else value
            metrics.append(Metric(key, shown, milliseconds(entry.time), entry.step))
    return metrics, tags


def milliseconds(time: float) -> int:
    """Seconds since 1970 in MLflow's unit, milliseconds."""
    return int(time * 1000)
