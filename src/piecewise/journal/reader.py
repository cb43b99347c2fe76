"""Reading a journal back."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from piecewise.durable import last_record, read_records
from piecewise.errors import BadInput
from piecewise.journal.records import End, Metrics, Resume, Start
from piecewise.processes import Process, is_gone


@dataclass
class RunRecord:
    """Everything a journal says about its run."""

    start: Start
    metrics: list[Metrics] = field(default_factory=list)
    resumed: list[Resume] = field(default_factory=list)
    end: End | None = None
    finished: float | None = None  # the time of the first end with status FINISHED

    @property
    def process(self) -> Process | None:
        """The process that trained last; journals of old versions do not record it."""
        return self.resumed[-1].process if self.resumed else self.start.process

    @property
    def is_orphan(self) -> bool:
        """Whether the run has no end, and its process is gone. False if no process is recorded."""
        return self.end is None and self.process is not None and is_gone(self.process)

    def history(self) -> dict[str, list[tuple[int, float]]]:
        """Each metric's (step, value) pairs, in order."""
        series: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for record in self.metrics:
            for key, value in record.values.items():
                series[key].append((record.step, value))
        return dict(series)


def read_journal(path: Path, with_metrics: bool = True) -> RunRecord | None:
    """The run recorded at `path`; None if there is no journal, or an empty one.

    A resumed run repeats the steps after its checkpoint with the same values; each counts once.
    Without metrics, reading needs a few kilobytes of memory.
    """
    record: RunRecord | None = None
    seen: set[tuple[int, str]] = set()
    for entry in read_records(path) if path.is_file() else ():
        kind = entry["kind"]
        if kind == "start":
            record = RunRecord(Start.parse(entry))
            seen.clear()
        elif record is None:
            raise BadInput(f"{path} has a record of kind {kind!r} before its start")
        elif kind == "metrics" and with_metrics:
            step = entry["step"]
            values = {key: value for key, value in entry["values"].items() if (step, key) not in seen}
            seen.update((step, key) for key in values)
            if values:
                record.metrics.append(Metrics(entry["time"], step, values))
        elif kind == "resume":
            record.end = None
            record.resumed.append(Resume.parse(entry))
        elif kind == "end":
            record.end = End.parse(entry)
            if record.finished is None and record.end.status == "FINISHED":
                record.finished = record.end.time
    return record


def read_start(path: Path) -> Start | None:
    """The first record, without reading the rest; None for an empty journal. Raises BadInput for a damaged one."""
    first = next(read_records(path), None)
    return Start.parse(first) if first is not None and first["kind"] == "start" else None


def read_end(path: Path) -> End | None:
    """The last record, without reading the rest; None if it is no end, or if there is no journal."""
    last = last_record(path) if path.is_file() else None
    return End.parse(last) if last is not None and last["kind"] == "end" else None
