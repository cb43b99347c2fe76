"""What a journal has measured, as MLflow takes it: each point once, a batch at a time, however long the run is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.durable import records_from

if TYPE_CHECKING:
    from mlflow.entities import Metric

MAX_METRICS = 1000  # that MLflow takes in one batch
KINDS = ("metrics", "system")
INFINITE = "infinite."  # begins the tag that says which infinity a point was: MLflow's databases have none
Take = Callable[["list[Metric]", dict[str, str]], None]  # a batch, and tags about it
Taken = frozenset[tuple[str, int]]  # metrics and steps


@dataclass(frozen=True)
class State:
    """How far a journal is sent."""

    position: int = 0  # the byte
    last: dict[str, int] = field(default_factory=dict)  # the step of each metric, since the run was last begun
    # What records of a kind had of the steps that are taken again: known by the first of them, which is the lowest.
    repeated: dict[str, Taken] = field(default_factory=lambda: dict.fromkeys(KINDS, frozenset()))


class Points:
    """Follows one journal. Of what was sent it keeps the last step of each metric, and the steps that are repeated.

    A run that went on after a crash repeats those after its checkpoint, to the same numbers: each counts once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.has_ended = False  # as far as it was followed
        self._state = State()

    @property
    def reached(self) -> int:
        """The byte up to which everything was taken."""
        return self._state.position

    def send(self, take: Take) -> int:
        """Hand what is new to `take`, and return how many points. A batch that it raises on comes again next time."""
        count = 0
        for entries, state in self._batches():
            metrics, tags = as_mlflow(entries)
            take(metrics, tags)
            self._state = state
            count += len(metrics)
        return count

    def _batches(self) -> Iterator[tuple[list[dict[str, Any]], State]]:
        state = self._state
        batch: list[dict[str, Any]] = []
        size = 0
        for entry, after in records_from(self.path, state.position):
            kind = entry["kind"]
            if kind == "start":  # another run, in the place of one before
                batch, size, state = [], 0, State()
            elif kind == "resume":
                state = replace(state, last={}, repeated={})
            self.has_ended = kind == "end" or (self.has_ended and kind not in ("start", "resume"))
            values: dict[str, float] = {}
            if kind in KINDS:
                if kind not in state.repeated:
                    taken = self._measured(kind, entry["step"], state.position)
                    state = replace(state, repeated=state.repeated | {kind: taken})
                values = _new(entry, state)
            if batch and size + len(values) > MAX_METRICS:
                yield batch, state
                batch, size = [], 0
            if values:
                batch.append(entry | {"values": values})
                size += len(values)
            last = state.last | dict.fromkeys(values, entry["step"]) if values else state.last
            state = State(after, last, state.repeated)
        if batch:
            yield batch, state
        self._state = state

    def _measured(self, kind: str, first: int, before: int) -> Taken:
        """What stands before a byte of the journal in records of a kind, from step `first` on."""
        found: set[tuple[str, int]] = set()
        for entry, after in records_from(self.path, 0):
            if after > before:
                break
            if entry["kind"] == "start":
                found.clear()
            elif entry["kind"] == kind and entry["step"] >= first:
                found.update((key, entry["step"]) for key in entry["values"])
        return frozenset(found)


def _new(entry: dict[str, Any], state: State) -> dict[str, float]:
    step, repeated = entry["step"], state.repeated[entry["kind"]]
    return {
        key: value
        for key, value in entry["values"].items()
        if step > state.last.get(key, -1) and (key, step) not in repeated
    }


def as_mlflow(entries: list[dict[str, Any]]) -> tuple[list[Metric], dict[str, str]]:
    """MLflow's points, and what tags must say of them."""
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
