"""Which runs of a command have begun, without looking at each of those that have not, and which have measured."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from piecewise.journal.reader import read_end
from piecewise.journal.run_folder import RunFolder
from piecewise.tracking.mirror.job_states import NewNames


class Arrivals:
    """The runs that have begun since the last look, by the folders that hold their journals.

    `sizes` holds the bytes that each journal had before the command. Of a sweep, a job that had finished before is left
    out: it is sent with the last push, if the store lacks it.
    """

    def __init__(self, sizes: dict[RunFolder, int]) -> None:
        self._sizes = sizes
        self._awaited: dict[Path, dict[str, RunFolder]] = defaultdict(dict)  # by place and name
        for folder in sizes:
            self._awaited[folder.journal.parents[1]][folder.journal.parent.name] = folder
        self._new = {place: NewNames(place) for place in self._awaited}

    def look(self) -> list[RunFolder]:
        """The new runs; a sweep comes before its jobs."""
        found = []
        for place, awaited in self._awaited.items():
            found += [awaited.pop(name) for name in sorted(self._new[place].look() & awaited.keys())]
        return [folder for folder in found if not self._had_finished(folder)]

    def _had_finished(self, folder: RunFolder) -> bool:
        if self._sizes[folder] == 0 or len(self._sizes) == 1:
            return False
        try:
            end = read_end(folder.journal)
            return end is not None and end.status == "FINISHED" and folder.journal.stat().st_size == self._sizes[folder]
        except (OSError, ValueError):  # the push says what is wrong
            return False


def has_measured(folder: RunFolder, size: int) -> bool:
    """Whether the journal has a metric after its first `size` bytes."""
    try:
        with folder.journal.open("rb") as file:
            file.seek(size)
            return any(b'"kind":"metrics"' in line for line in file)
    except OSError:  # the run has not started
        return False
