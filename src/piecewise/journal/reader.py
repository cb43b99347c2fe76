"""Reading a journal back."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from piecewise.durable import read_records
from piecewise.errors import BadInput


@dataclass
class RunRecord:
    """Everything a journal says about its run."""

    start: dict[str, Any]
    metrics: list[dict[str, Any]] = field(default_factory=list)  # time, step, values
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    finished: float | None = None  # when it first came to its end
    resumed: list[dict[str, Any]] = field(default_factory=list)

    def history(self) -> dict[str, list[tuple[int, float]]]:
        """Each metric's (step, value) pairs, in order."""
        series: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for record in self.metrics:
            for key, value in record["values"].items():
                series[key].append((record["step"], value))
        return dict(series)


def read_journal(path: Path, with_metrics: bool = True) -> RunRecord | None:
    """The run recorded at `path`, or None if it has not got as far as saying who it is.

    Without its metrics a run of any length is a few kilobytes.
    """
    record: RunRecord | None = None
    seen: set[tuple[int, str]] = set()
    for entry in read_records(path):
        kind = entry["kind"]
        if kind == "start":
            record = RunRecord(entry)
            seen.clear()
        elif record is None:
            raise BadInput(f"{path} has a record of kind {kind!r} before its start")
        elif kind == "metrics" and with_metrics:
            values = {key: value for key, value in entry["values"].items() if (entry["step"], key) not in seen}
            seen.update((entry["step"], key) for key in values)
            if values:  # a resumed run repeats the steps after its checkpoint, to the same numbers
                record.metrics.append(entry | {"values": values})
        elif kind == "artifact":
            record.artifacts.append(entry)
        elif kind == "resume":
            record.end = None
            record.resumed.append(entry)
        elif kind == "end":
            record.end = entry
            if record.finished is None and entry["status"] == "FINISHED":
                record.finished = entry["time"]
    return record
