"""How far a sweep is: read from its ledger and the journals of the jobs that run, by any process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from piecewise import terminal
from piecewise.durable import last_record, read_json
from piecewise.execution.executors.contract import FAILED, FINISHED, KILLED
from piecewise.execution.job_folders import JOBS
from piecewise.execution.ledger import LEDGER, REUSED, Entry, Record
from piecewise.journal.reader import read_end, read_journal, read_start
from piecewise.journal.run_folder import RunFolder
from piecewise.locks import has_writer

RUNNING, WAITING, INTERRUPTED = "running", "waiting", "interrupted"
BEST = "best"
MAX_SHOWN = 10  # jobs of each kind


@dataclass
class SweepStatus:
    """A sweep as another process sees it. Call `look` to see what has changed."""

    root: Path
    record: Record = field(default_factory=Record)
    is_alive: bool = True  # whether a process runs it

    def look(self) -> None:
        """Read what was added to the ledger."""
        self.is_alive = has_writer(self.root / LEDGER)  # before the ledger is read: its last lines are read too
        self.record.follow(self.root / LEDGER)

    @property
    def counts(self) -> Counter[str]:
        return Counter(map(self.state_of, self.record.entries))

    def state_of(self, entry: Entry) -> str:
        """The state in words: finished, failed, interrupted, running or waiting."""
        if entry.state is not None:
            return {FINISHED: "finished", REUSED: "finished", FAILED: "failed", KILLED: INTERRUPTED}[entry.state]
        return WAITING if entry.started is None else RUNNING if self.is_alive else INTERRUPTED

    def rate(self) -> float | None:
        """Jobs that finished in a second since the sweep's process started the first one; None before that.

        Those that failed do not count: they may have failed at once, and tell nothing about the others.
        """
        record = read_journal(RunFolder.at(self.root).journal, with_metrics=False)
        if record is None:
            return None
        began = record.resumed[-1].time if record.resumed else record.start.time
        tried = [entry for entry in self.record.entries if entry.started is not None and entry.started >= began]
        ended = [entry.ended for entry in tried if entry.ended is not None and entry.state == FINISHED]
        if not ended:
            return None
        first, last = min(entry.started or 0.0 for entry in tried), time.time() if self.is_alive else max(ended)
        return len(ended) / max(last - first, 1e-3)

    def best(self) -> list[Entry]:
        """The best job of each group of jobs that may be compared."""
        return self.record.best(self._configs)

    @cached_property
    def _configs(self) -> list[dict[str, Any]]:
        return [job["config"] for job in read_json(self.root / JOBS)["jobs"]]

    def progress(self, entry: Entry) -> str:
        """How many of its steps a running job has taken, as its journal tells."""
        journal = RunFolder.at(self.root / f"{entry.planned.number:04d}").journal
        start = read_start(journal) if journal.is_file() else None
        last = last_record(journal) if start is not None else None
        if start is None or last is None:
            return "begins"
        return f"step {last.get('step', 0)} of {start.steps_planned or '?'}"


def age(status: SweepStatus) -> str:
    """When the sweep began, and whether it is over."""
    now, end = time.time(), read_end(RunFolder.at(status.root).journal)
    if status.is_alive:
        state = "runs now"
    elif end is None:
        state = "was interrupted"
    else:
        state = f"{'was stopped' if end.status == KILLED else 'ended'} {terminal.duration(now - end.time)} ago"
    return f"began {terminal.duration(now - status.record.head['time'])} ago, {state}"


def lines(status: SweepStatus) -> Iterator[str]:
    """The status for people: a summary, the jobs that run, the best one, and what has failed."""
    yield summary(status)
    if rows := [row for kind in (BEST, RUNNING, "failed", INTERRUPTED) for row in rows_of(status, kind)]:
        yield from terminal.table(rows).splitlines()


def rows_of(status: SweepStatus, kind: str) -> list[tuple[str, str, str]]:
    """The jobs in a state, or the best ones, each with what is to be told of it."""
    if kind == BEST:
        return [(BEST, entry.planned.title, f"val/nll {entry.val_nll:.5g}") for entry in status.best()[:MAX_SHOWN]]
    found = [entry for entry in status.record.entries if status.state_of(entry) == kind]
    told = status.progress if kind == RUNNING else lambda entry: entry.message
    rows = [(kind, entry.planned.title, told(entry)) for entry in found[:MAX_SHOWN]]
    return rows + ([("", f"and {len(found) - MAX_SHOWN} more {kind}", "")] if len(found) > MAX_SHOWN else [])


def summary(status: SweepStatus) -> str:
    """One line: how many jobs are in each state, how many finish in a second, how long the rest will take."""
    counts, rate = status.counts, status.rate()
    words = [
        f"{counts[state]} {state}" for state in ("finished", RUNNING, "failed", INTERRUPTED, WAITING) if counts[state]
    ]
    if rate is not None:
        words.append(f"{rate:.2g} runs/s" if rate >= 1 else f"{60 * rate:.2g} runs/min")
        left = counts[RUNNING] + counts[WAITING]
        words += [f"{terminal.duration(left / rate)} left"] if left and status.is_alive else []
    return f"{len(status.record.entries)} jobs: {', '.join(words)}"
