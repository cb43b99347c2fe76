"""Writing a journal: the append-only record of a run, in the order of events."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from piecewise import terminal
from piecewise.durable import append_record, flush, is_torn, open_records
from piecewise.errors import PiecewiseError
from piecewise.journal.index import add_ended, forget, unended
from piecewise.journal.reader import read_end, read_journal
from piecewise.journal.run_folder import RunFolder, busy, pipeline_runs, runs_below
from piecewise.locks import has_writer
from piecewise.project import Project


class Unwritable(PiecewiseError):
    """A journal cannot be written any more. Training ends: a run without its record is worthless."""

    def __init__(self, path: Path, error: OSError) -> None:
        remedy = "once it can be, piecewise resume goes on from the last checkpoint"
        super().__init__(f"{path} cannot be written: {error.strerror}; its records are whole; {remedy}")


class Journal:
    """Appends records to one file. Kinds: start, resume, metrics, system, end; each has its time in seconds.

    A second writer at the same time raises TryAgain. A failed write raises Unwritable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        is_new, was_torn = not path.is_file(), path.is_file() and is_torn(path)
        try:
            self._file = open_records(path)
        except BlockingIOError as error:
            raise busy(path) from error
        try:
            if not is_new:
                forget(path)  # while no other process can see an end and add the run again
        except BaseException:
            self._file.close()
            raise
        if was_torn:
            terminal.warn(f"{path}: its last line was torn off by a crash; all before it is kept")

    def start(self, **facts: Any) -> None:
        """Record what the run is; `piecewise.journal.records.Start` lists the facts."""
        self._append("start", facts)

    def resume(self, **facts: Any) -> None:
        """Record that the run goes on after an interruption. Steps that it repeats count once."""
        self._append("resume", facts)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Record what was measured after `step` optimizer steps."""
        self._append("metrics", {"step": step, "values": values})

    def system(self, step: int, values: dict[str, float]) -> None:
        """Record the machine's load after `step` optimizer steps."""
        self._append("system", {"step": step, "values": values})

    def end(self, status: str, **facts: Any) -> None:
        """Record how the run ended: FINISHED, FAILED or KILLED."""
        self._append("end", {"status": status, **facts})
        self.flush()

    def flush(self) -> None:
        """Write to the disk. A record survives a killed process without this, and a power loss only with it."""
        try:
            flush(self._file)
        except OSError as error:
            raise Unwritable(self.path, error) from error

    def _append(self, kind: str, facts: dict[str, Any]) -> None:
        try:
            append_record(self._file, {"kind": kind, "time": time.time(), **facts})
        except OSError as error:
            raise Unwritable(self.path, error) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file, contextlib.suppress(Unwritable) if kind is not None else contextlib.nullcontext():
            self.flush()


def end_journals(project: Project) -> list[RunFolder]:
    """End the journals of killed runs, with status KILLED. Children come before their parent, which counts them."""
    ended, names = [], unended(project.runs)
    for folder in reversed([*pipeline_runs(project), *runs_below(project.runs, names)]):
        try:
            if read_end(folder.journal) is not None or has_writer(folder.journal):
                continue
            record = read_journal(folder.journal, with_metrics=False)
            if record is not None and record.is_orphan:
                with Journal(folder.journal) as journal:
                    journal.end("KILLED", reason="its process is gone")
                ended.append(folder)
        except (ValueError, PiecewiseError, OSError):  # damaged, read-only, or just now opened by another process
            continue
    add_ended(project.runs, names)
    return ended
