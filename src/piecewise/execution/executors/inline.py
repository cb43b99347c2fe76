"""The executor `inline`: one pack after the other, in the process of the command."""

from __future__ import annotations

from collections.abc import Iterable

from piecewise import stopping
from piecewise.execution.executors.contract import KILLED, Listener, Outcome
from piecewise.execution.pack import Pack
from piecewise.execution.run_pack import attempt
from piecewise.processes import this_process


class Inline:
    """Runs packs in this process. A job that ends the process ends the command."""

    def run(self, packs: Iterable[Pack], listener: Listener) -> None:
        for pack in packs:
            listener.started(pack, this_process())
            try:
                outcome = attempt(pack)
            except stopping.Stopped as stopped:
                listener.ended(pack, Outcome(KILLED, message=str(stopped), exit_code=int(stopped.code or 0)))
                raise
            listener.ended(pack, outcome)
