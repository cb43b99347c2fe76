"""The runs that this process follows, each with its run in the store and the points already sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise.journal.records import Start
from piecewise.journal.run_folder import RunFolder
from piecewise.tracking.mirror.creation import RunCreator, log_parameters
from piecewise.tracking.mirror.lookup import find_run, is_deleted
from piecewise.tracking.mirror.points import Points


@dataclass
class LiveRun:
    """A run in the store, and how much of it this process has sent."""

    run_id: str  # MLflow's
    points: Points
    next_heartbeat: float = 0.0  # by the monotonic clock
    is_end_logged: bool = False  # whether the store shows the final state


Followed = dict[Path, tuple[str, LiveRun | None]]  # journal → (our id of its run, None if deleted in the store)


class LiveRuns:
    """Opens a run in the store once, and remembers it."""

    def __init__(self, creator: RunCreator, followed: Followed, restores: bool) -> None:
        self.creator = creator
        self.client = creator.client
        self.restores = restores
        self._followed = followed

    def reached(self, folder: RunFolder) -> int:
        """The byte of the journal up to which all points are sent; 0 for a run that is not followed."""
        _, live = self._followed.get(folder.journal, ("", None))
        return 0 if live is None else live.points.reached

    def set_deleted(self, folder: RunFolder, piecewise_id: str) -> None:
        """Remember that the run was deleted in the store."""
        self._followed[folder.journal] = (piecewise_id, None)

    def open(self, folder: RunFolder, start: Start) -> LiveRun | None:
        """The run of a journal, created if the store has none; None if it was deleted there."""
        known_id, live = self._followed.get(folder.journal, ("", None))
        return live if known_id == start.id else self._open(folder, start, find_run(self.client, start.id))

    def open_found(self, folder: RunFolder, start: Start, found: Any) -> LiveRun | None:
        """As `open`, where the store has just been searched for the run."""
        known_id, live = self._followed.get(folder.journal, ("", None))
        # Another run id, or none: what this process sent went to an older store at the same address.
        is_same = live is not None and found is not None and found.info.run_id == live.run_id and not is_deleted(found)
        return live if known_id == start.id and is_same else self._open(folder, start, found)

    def _open(self, folder: RunFolder, start: Start, found: Any) -> LiveRun | None:
        if is_deleted(found):
            if not self.restores:
                self.set_deleted(folder, start.id)
                return None
            self.client.restore_run(found.info.run_id)
        run_id = str(found.info.run_id) if found else self.creator.create(start)
        # A run that was found may lack its parameters: its creator may have been killed before it logged them.
        log_parameters(self.client, start, run_id)
        live = LiveRun(run_id, Points(folder.journal))
        self._followed[folder.journal] = (start.id, live)
        return live
