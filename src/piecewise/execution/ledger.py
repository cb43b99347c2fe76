"""The ledger of a sweep: which jobs were planned, started and ended. Only the sweep's own process writes it.

It is append-only. Where it is silent, because that process was killed, the journal of the job's run decides.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from piecewise.durable import append_record, open_records, put_in_place, read_records, records_from
from piecewise.errors import BadInput, TryAgain
from piecewise.execution.executors.contract import FINISHED, Outcome
from piecewise.jobs.comparable import basis, best_of_each, flatten
from piecewise.jobs.digests import canonical
from piecewise.journal.run_folder import RunFolder, busy
from piecewise.processes import Process

LEDGER = "ledger.jsonl"  # in the sweep's folder
REUSED = "REUSED"  # the state of a job that has a finished run outside the sweep
DONE = (FINISHED, REUSED)
AGAIN = "the same piecewise train command begins a new sweep, which takes over the finished runs"


@dataclass(frozen=True)
class Planned:
    """A job of the sweep, by its number."""

    number: int
    title: str
    run_id: str  # of the run that the sweep makes for it
    run_key: str


@dataclass
class Entry:
    """What the ledger says about one job."""

    planned: Planned
    attempts: int = 0
    started: float | None = None  # when the last attempt began, in seconds since 1970
    ended: float | None = None
    state: str | None = None  # of the last attempt; None while it runs, or before
    metrics: dict[str, float] = field(default_factory=dict)  # of the evaluation
    val_nll: float | None = None
    message: str = ""  # why it failed
    process: Process | None = None
    reused: str | None = None  # the RunFolder, as text, of the run outside the sweep


@dataclass
class Record:
    """What a ledger holds."""

    head: dict[str, Any] = field(default_factory=dict)  # of the first line: id, name, key, results, command, jobs
    entries: list[Entry] = field(default_factory=list)
    position: int = 0  # in the file, of what was not read yet

    @classmethod
    def read(cls, path: Path) -> Self:
        """The ledger in a file. Raises BadInput if it is damaged."""
        record = cls()
        record.follow(path)
        return record

    def follow(self, path: Path) -> None:
        """Read what was added to the file since the last time. Raises BadInput if it is damaged."""
        try:
            self._follow(path)
        except BadInput as error:
            raise BadInput(f"{error}; {AGAIN}") from error

    def _follow(self, path: Path) -> None:
        for line, position in records_from(path, self.position):
            self.position = position
            kind = line.pop("kind")
            if kind == "sweep":
                self.head = line
            elif not self.head:
                raise BadInput(f"{path} has a record of kind {kind!r} before the sweep's own")
            else:
                self._add(kind, line)
        if not self.head:
            raise BadInput(f"{path} is empty")
        count = self.head.get("jobs", 0)  # the first ledgers lack it
        if len(self.entries) < count:
            raise BadInput(f"{path} names {len(self.entries)} of {count} jobs: its other lines are lost")

    def best(self, configs: Sequence[dict[str, Any]]) -> list[Entry]:
        """The done job with the lowest `val/nll` of each group of jobs that may be compared.

        `configs` are the frozen configurations of the jobs.
        """
        items = []
        for entry in self.entries:
            if entry.state in DONE and entry.val_nll is not None:
                config = configs[entry.planned.number]
                # The same options of the data stand for the same digest.
                key = basis(dict(flatten(config)), canonical(config["data"]))
                items.append((key, entry.val_nll, entry))
        return list(best_of_each(items).values())

    def _add(self, kind: str, line: dict[str, Any]) -> None:
        when = line.pop("time")
        if kind == "planned":
            self.entries.append(Entry(Planned(**line)))
            return
        entry = self.entries[line["number"]]
        if kind == "started":
            entry.attempts, entry.started, entry.ended, entry.state = line["attempt"], when, None, None
            entry.process = Process.parse(line["process"])
        elif kind == "ended":
            entry.ended, entry.state, entry.message = when, line["state"], line.get("message", "")
            entry.metrics, entry.val_nll, entry.reused = line["metrics"], line["val_nll"], line.get("reused")


def read_head(path: Path) -> dict[str, Any] | None:
    """The first record of a ledger, without reading the rest; None if there is none."""
    return next(read_records(path), None) if path.is_file() else None


@contextmanager
def begun(path: Path, head: dict[str, Any], jobs: Sequence[Planned]) -> Iterator[Ledger]:
    """Write a new ledger: what the sweep is, its jobs in order, and what the caller adds; it appears as a whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with Ledger(temporary) as ledger:
            ledger._append("sweep", head | {"jobs": len(jobs)})
            for job in jobs:
                ledger._append("planned", vars(job))
            yield ledger
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Ledger:
    """Appends to a sweep's ledger, which it locks. Raises TryAgain if another process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = open_records(path)
        except BlockingIOError as error:
            raise busy(path) from error

    def started(self, number: int, pack: str, attempt: int, process: Process) -> None:
        facts = {"number": number, "pack": pack, "attempt": attempt, "process": process.as_dict()}
        self._append("started", facts)

    def ended(self, number: int, outcome: Outcome, reused: RunFolder | None = None) -> None:
        """Record how a job ended; `reused` if a finished run outside the sweep, in that folder, has its result."""
        facts = {"number": number, "state": outcome.state, "metrics": outcome.metrics, "val_nll": outcome.val_nll}
        facts |= {"message": outcome.message} if outcome.message else {}
        self._append("ended", facts | ({"reused": reused.as_text()} if reused is not None else {}))

    def _append(self, kind: str, facts: dict[str, Any]) -> None:
        try:
            append_record(self._file, {"kind": kind, "time": time.time(), **facts})
        except OSError as error:
            reason = f"{self.path} cannot be written: {error.strerror}"
            raise TryAgain(f"{reason}; once it can be, the same command goes on with the sweep") from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
