"""What an executor does: it takes packs to their end, each in some process of its own choice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from piecewise.errors import PiecewiseError
from piecewise.execution.pack import Pack
from piecewise.processes import Process

FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"  # as in the run's journal


@dataclass(frozen=True)
class Outcome:
    """How a pack's job ended."""

    state: str
    metrics: dict[str, float] = field(default_factory=dict)  # of its evaluation
    val_nll: float | None = None  # of the weights that are kept
    message: str = ""  # why it has not finished
    exit_code: int = 0
    error: PiecewiseError | None = None  # known if the job ran in this process

    def as_dict(self) -> dict[str, Any]:
        """For another process."""
        return {key: value for key, value in vars(self).items() if key != "error"}


class Listener(Protocol):
    """What the process of the command does when packs start and end."""

    def started(self, pack: Pack, process: Process) -> None:
        """`pack` runs in `process`."""

    def ended(self, pack: Pack, outcome: Outcome) -> None:
        """`pack` has ended, and no process works on it any more."""


class Executor(Protocol):
    """Runs packs. Only the process that calls it writes the ledger, through the listener."""

    def run(self, packs: Iterable[Pack], listener: Listener) -> None:
        """Take each pack to its end. `packs` yields the next one when it can start, and stops early after an error.

        A job that fails ends its own pack only. After a signal, the packs that run write their checkpoints and end as
        KILLED; then Stopped is raised.
        """
