"""The append-only record of a run: what happened, when, in the order it happened."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from piecewise import terminal
from piecewise.durable import append_record, flush, is_torn, open_records
from piecewise.errors import PiecewiseError, TryAgain


def busy(path: Path) -> TryAgain:
    return TryAgain(f"{path} is being written: its run goes on in another process; stop that, or wait for it")


class Unwritable(PiecewiseError):
    """A journal that takes no more records: a training without a record is none, and ends."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be written: {error.strerror}; what it holds is whole, and once that is mended "
            "piecewise resume goes on from the last checkpoint"
        )


class Journal:
    """Appends records to one file. Kinds: start, resume, metrics, system, artifact, end; each with the time in seconds.

    A journal has one writer at a time: another one raises TryAgain. What cannot be written raises Unwritable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        was_torn = path.is_file() and is_torn(path)
        try:
            self._file = open_records(path)
        except BlockingIOError as error:
            raise busy(path) from error
        if was_torn:
            terminal.warn(f"{path}: its last line was torn off by a crash; all before it is kept")

    def start(self, **facts: Any) -> None:
        """Who this run is: its id, name, parameters, tags and inputs."""
        self._append("start", facts)

    def resume(self, **facts: Any) -> None:
        """The run goes on after an interruption: readings of steps that are repeated count once."""
        self._append("resume", facts)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """What was measured after `step` optimizer steps."""
        self._append("metrics", {"step": step, "values": values})

    def system(self, step: int, values: dict[str, float]) -> None:
        """What the machine was doing when `step` optimizer steps had been taken."""
        self._append("system", {"step": step, "values": values})

    def artifact(self, path: str, folder: str = "") -> None:
        """A file that belongs to the run: `path` relative to the run's folder, shown in `folder` of the tracker."""
        self._append("artifact", {"path": path, "folder": folder})

    def end(self, status: str, **facts: Any) -> None:
        """How the run ended: FINISHED, FAILED or KILLED."""
        self._append("end", {"status": status, **facts})
        self.flush()

    def flush(self) -> None:
        """Onto the disk: each record survives a killed process, what was flushed a power loss too."""
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file, contextlib.suppress(Unwritable) if error is not None else contextlib.nullcontext():
            self.flush()
