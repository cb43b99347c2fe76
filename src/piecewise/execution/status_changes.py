"""The status of a sweep as plain lines, for a file or a pipe, where nothing can be redrawn."""

from __future__ import annotations

from dataclasses import dataclass, field

from piecewise import terminal
from piecewise.execution.sweep_status import BEST, RUNNING, SweepStatus, rows_of, summary

PROGRESS_SECONDS = 60.0  # the longest time without a line


@dataclass
class StatusChanges:
    """What has changed in a sweep since it was last told. It knows the best jobs that it has told."""

    status: SweepStatus
    _told: dict[str, object] = field(default_factory=dict)
    _last: float = 0.0  # when the last line was told

    def lines(self, now: float) -> list[str]:
        """The summary if a job has started or ended, the best jobs if they are others than before.

        After PROGRESS_SECONDS without a line: the summary, and the steps of the jobs that run. `now` is in seconds.
        """
        found = []
        if self._is_new("counts", self.status.counts):
            found.append(summary(self.status))
            best = rows_of(self.status, BEST)  # changes only when a job ends
            found += _text(best) if self._is_new(BEST, best) else []
        elif now - self._last >= PROGRESS_SECONDS:
            found = [summary(self.status), *_text(rows_of(self.status, RUNNING))]
        if found:
            self._last = now
        return found

    def _is_new(self, name: str, value: object) -> bool:
        is_new = self._told.get(name) != value
        self._told[name] = value
        return is_new


def _text(rows: list[tuple[str, str, str]]) -> list[str]:
    return terminal.table(rows).splitlines() if rows else []
