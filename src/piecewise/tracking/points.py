"""What a journal has measured, as MLflow takes it: each point once, a batch at a time, however long the run is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.durable import records_from

if TYPE_CHECKING:
    from mlflow.entities import Metric

MAX_METRICS = 1000  # that MLflow takes in one batch
KINDS = ("metrics", "system")
INFINITE = "infinite."  # begins the tag that says which infinity a point was: MLflow's databases have none
Take = Callable[["list[Metric]", dict[str, str]], None]  # a batch, and tags about it
State = tuple[int, dict[str, int]]  # the byte up to which the journal is sent, and the last step of each metric


class Points:
    """Follows one journal. Of what was sent it keeps no more than the last step of each metric.

    A run that went on after a crash repeats steps, to the same numbers: what is not beyond the last one is left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.has_ended = False  # as far as it was followed
        self._state: State = (0, {})

    @property
    def reached(self) -> int:
        """The byte up to which everything was taken."""
        return self._state[0]

    def send(self, take: Take) -> int:
        """Hand what is new to `take`, and return how many points. A batch that it raises on comes again next time."""
        count = 0
        for entries, state in self._batches():
            metrics, tags = _as_mlflow(entries)
            take(metrics, tags)
            self._state = state
            count += len(metrics)
        return count

    def _batches(self) -> Iterator[tuple[list[dict[str, Any]], State]]:
        position, last = self._state
        batch: list[dict[str, Any]] = []
        size = 0
        for entry, after in records_from(self.path, position):
            if entry["kind"] == "start":  # another run, in the place of one before
                batch, size, last = [], 0, {}
            self.has_ended = entry["kind"] == "end" or (self.has_ended and entry["kind"] not in ("start", "resume"))
            values = _new(entry, last) if entry["kind"] in KINDS else {}
            if batch and size + len(values) > MAX_METRICS:
                yield batch, (position, last)
                batch, size = [], 0
            if values:
                batch.append(entry | {"values": values})
                size += len(values)
                last = last | dict.fromkeys(values, entry["step"])
            position = after
        if batch:
            yield batch, (position, last)
        self._state = (position, last)


def _new(entry: dict[str, Any], last: dict[str, int]) -> dict[str, float]:
    return {key: value for key, value in entry["values"].items() if entry["step"] > last.get(key, -1)}


def _as_mlflow(entries: list[dict[str, Any]]) -> tuple[list[Metric], dict[str, str]]:
    from mlflow.entities import Metric

    metrics, tags = [], {}
    for entry in entries:
        for key, value in entry["values"].items():
            if math.isinf(value):
                tags[INFINITE + key] = f"{value} at step {entry['step']}"
            shown = math.nan if math.isinf(value) else value
            metrics.append(Metric(key, shown, milliseconds(entry), entry["step"]))
    return metrics, tags


def milliseconds(record: dict[str, Any]) -> int:
    """When a record was written, as MLflow counts time."""
    return int(record["time"] * 1000)
