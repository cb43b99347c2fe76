"""The states of a sweep's jobs, followed without looking again at what has finished."""

from __future__ import annotations

import os
import time
from pathlib import Path

from piecewise.journal.reader import read_end
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import JOURNAL

SETTLED_NS = 2_000_000_000  # a folder that changed this recently may change again without a new time


class NewNames:
    """What has come into being in one folder since the last look. The folder is listed only if it has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: set[str] = set()
        self._time = 0

    def look(self) -> set[str]:
        """The new names; none if there is no such folder yet."""
        try:
            changed = self.folder.stat().st_mtime_ns
            new = set() if changed == self._time else {entry.name for entry in os.scandir(self.folder)} - self._known
        except OSError:
            return set()
        self._time = changed if changed < time.time_ns() - SETTLED_NS else 0
        self._known |= new
        return new


class JobStates:
    """The status of each job of one sweep; None for a job without an end."""

    def __init__(self, sweep: RunFolder) -> None:
        self.sweep = sweep
        self._statuses: dict[Path, str | None] = {}  # by journal
        self._sizes: dict[Path, int] = {}  # of each journal, when it was read
        self._open: set[Path] = set()  # journals that may not be there yet, or may go on
        self._new = NewNames(sweep.jobs) if sweep.jobs is not None else None

    def update(self, is_over: bool = False) -> list[str | None]:
        """The statuses now, in the order of the jobs.

        A job that has finished is looked at again only once the sweep `is_over`. A journal only grows: one of the same
        size is not read again.
        """
        if self._new is None or is_over:
            self._open = {*self.sweep.children, *self._statuses}
        else:
            self._open |= {self._new.folder / name / JOURNAL for name in self._new.look()} - {self.sweep.journal}
        for path in list(self._open):
            self._look(path)
        return [self._statuses[path] for path in sorted(self._statuses)]

    def _look(self, path: Path) -> None:
        try:
            size = path.stat().st_size
        except OSError:  # not there yet, or no longer
            self._statuses.pop(path, None)
            return
        if path not in self._statuses or self._sizes[path] != size:
            end = read_end(path)
            self._statuses[path], self._sizes[path] = None if end is None else end.status, size
        if self._statuses[path] == "FINISHED":
            self._open.discard(path)


def state_of_sweep(statuses: list[str | None], planned: int) -> str:
    """The state of a sweep that is over, from the statuses of its jobs."""
    if "FAILED" in statuses:
        return "FAILED"
    is_whole = len(statuses) >= planned and all(status == "FINISHED" for status in statuses)
    return "FINISHED" if is_whole else "KILLED"
