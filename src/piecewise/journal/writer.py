"""The append-only record of a run: what happened, when, in the order it happened."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any

from piecewise.durable import append_record, flush, open_records
from piecewise.errors import TryAgain


def busy(path: Path) -> TryAgain:
    return TryAgain(f"{path} is being written: its run goes on in another process; stop that, or wait for it")


class Journal:
    """Appends records to one file. Kinds: start, resume, metrics, artifact, end; each carries the time in seconds.

    A journal has one writer at a time: another one raises TryAgain.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_records(path)
        except BlockingIOError as error:
            raise busy(path) from error

    def start(self, **facts: Any) -> None:
        """Who this run is: its id, name, parameters, tags and inputs."""
        self._append("start", facts)

    def resume(self, **facts: Any) -> None:
        """The run goes on after an interruption: readings of steps that are repeated count once."""
        self._append("resume", facts)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """What was measured after `step` optimizer steps."""
        self._append("metrics", {"step": step, "values": values})

    def artifact(self, path: str, folder: str = "") -> None:
        """A file that belongs to the run: `path` relative to the run's folder, shown in `folder` of the tracker."""
        self._append("artifact", {"path": path, "folder": folder})

    def end(self, status: str, **facts: Any) -> None:
        """How the run ended: FINISHED, FAILED or KILLED."""
        self._append("end", {"status": status, **facts})
        flush(self._file)

    def _append(self, kind: str, facts: dict[str, Any]) -> None:
        append_record(self._file, {"kind": kind, "time": time.time(), **facts})

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        flush(self._file)
        self._file.close()
