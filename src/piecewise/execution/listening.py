"""What the process of a command does as jobs start and end: it writes the ledger, and shows results and errors."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tqdm import tqdm

from piecewise import stopping, terminal
from piecewise.errors import PiecewiseError, with_exit_code
from piecewise.execution.executors.contract import FAILED, FINISHED, Outcome
from piecewise.execution.ledger import Ledger
from piecewise.execution.pack import Pack
from piecewise.processes import Process

Show = Callable[[Pack, Outcome], None]  # called for each job that has finished
STOP, STOP_AFTER = "stop", "stop_after:"


class Listening:
    """Hears from an executor. `on_error` says after how many failed jobs no other one starts."""

    def __init__(self, show: Show, ledger: Ledger | None = None, on_error: str = "continue") -> None:
        self.show = show
        self.errors: list[PiecewiseError] = []  # each was printed
        self.ledger = ledger
        self._most = _most(on_error)
        self._bar: tqdm[Any] = tqdm(disable=True)

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    @property
    def has_stopped(self) -> bool:
        """Whether so many jobs have failed that no other one starts."""
        return len(self.errors) >= self._most

    def until_stopped(self, packs: Iterable[Pack]) -> Iterator[Pack]:
        """The packs, as long as others may start."""
        for pack in packs:
            if self.has_stopped:
                return
            yield pack

    def show_progress(self, label: str, count: int) -> None:
        """From now on, show on a terminal how many of `count` jobs have ended, and the time left."""
        self._bar = tqdm(total=count, desc=label, unit="job", dynamic_ncols=True, leave=False, disable=not _is_shown())

    def started(self, pack: Pack, process: Process) -> None:
        if self.ledger is not None:
            self.ledger.started(pack.number, pack.path.name, pack.attempt, process)

    def ended(self, pack: Pack, outcome: Outcome) -> None:
        if self.ledger is not None:
            self.ledger.ended(pack.number, outcome)
        self._bar.clear()  # of what is printed now
        if outcome.state == FINISHED:
            self.show(pack, outcome)
        elif outcome.state == FAILED or not stopping.is_signalled():  # then the command says so
            terminal.fail(f"{pack.job.title}: {outcome.message}")
            error = outcome.error or with_exit_code(outcome.exit_code, outcome.message)
            error.is_reported = True
            self.errors.append(error)
        self._bar.update()


def _most(on_error: str) -> float:
    """After how many failures nothing else starts."""
    if on_error.startswith(STOP_AFTER):
        return int(on_error.removeprefix(STOP_AFTER))
    return 1 if on_error == STOP else math.inf


def _is_shown() -> bool:
    return sys.stderr.isatty() and not terminal.is_quiet()
