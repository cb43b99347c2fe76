"""The runs that this process follows, each with its run in the store and the points already sent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.journal.names import folder_name
from piecewise.journal.records import Start
from piecewise.journal.run_folder import RunFolder
from piecewise.tracking.mirror.facts import experiment_tags, log_inputs, log_parameters, process_text, run_tags
from piecewise.tracking.mirror.lookup import create_once, find_run, is_deleted, restore_experiment
from piecewise.tracking.mirror.points import Points, milliseconds
from piecewise.tracking.tags import HEARTBEAT, PROCESS, RUN_ID

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_NAME = 250  # characters of a run's name, in MLflow's tables
JobEnds = dict[Path, tuple[int, str | None]]  # the size of each job's journal when it was read, and its status then


@dataclass
class LiveRun:
    """A run in the store, and how much of it this process has sent."""

    piecewise_id: str  # in the journal's first record
    run_id: str  # MLflow's
    points: Points
    next_heartbeat: float = 0.0  # by the monotonic clock
    is_end_logged: bool = False  # whether the store shows the final state
    job_ends: JobEnds = field(default_factory=dict)  # of a sweep's jobs


Followed = dict[tuple[str, Path], LiveRun]  # by the store's address and the run's journal


class LiveRuns:
    """Opens or creates each run in the store once, and remembers it in `followed`.

    An embedded store keeps the files of its experiments in `artifacts`. Deleted runs stay deleted, unless `restores`.
    """

    def __init__(self, client: MlflowClient, artifacts: Path | None, followed: Followed, restores: bool) -> None:
        self.client = client
        self.artifacts = artifacts
        self.restores = restores
        self._followed = followed
        self._experiments: dict[str, str] = {}  # MLflow's id of each experiment, by name

    def open(self, folder: RunFolder, start: Start) -> LiveRun | None:
        """The run of a journal, created if the store has none; None if it was deleted there."""
        live = self._followed.get(self._key(folder))
        if live is not None and live.piecewise_id == start.id:
            return live
        return self.open_found(folder, start, find_run(self.client, start.id))

    def open_found(self, folder: RunFolder, start: Start, found: Any) -> LiveRun | None:
        """As `open`, where the store has just been searched for the run."""
        if is_deleted(found):
            if not self.restores:
                return None
            self.client.restore_run(found.info.run_id)
        run_id = str(found.info.run_id) if found else self.create(start)
        live = self._followed.get(self._key(folder))
        # With another run id, what this process sent went to an older store at the same address.
        if live is None or (live.piecewise_id, live.run_id) != (start.id, run_id):
            # A run that was found may lack its parameters: its creator may have been killed before it logged them.
            log_parameters(self.client, run_id, start.config)
            log_inputs(self.client, run_id, start.inputs)
            live = self._followed[self._key(folder)] = LiveRun(start.id, run_id, Points(folder.journal))
        return live

    def _key(self, folder: RunFolder) -> tuple[str, Path]:
        return str(self.client.tracking_uri), folder.journal

    def create(self, start: Start) -> str:
        """Create a run from a journal's first record; MLflow's id of the run."""
        own = {RUN_ID: start.id, PROCESS: process_text(start.process), HEARTBEAT: str(int(time.time()))}
        tags = run_tags(start.tags) | own
        parent = find_run(self.client, start.parent) if start.parent else None
        if parent is not None:
            tags["mlflow.parentRunId"] = parent.info.run_id
        run = self.client.create_run(self._experiment(start), milliseconds(start.time), tags, start.title[:MAX_NAME])
        return str(run.info.run_id)

    def _experiment(self, start: Start) -> str:
        """MLflow's id of the run's experiment, which is created or restored if necessary."""
        name = start.name
        if name not in self._experiments:
            location = (self.artifacts / folder_name(name)).as_uri() if self.artifacts is not None else None
            found = self.client.get_experiment_by_name(name)
            if found is None:
                create_once(lambda: self.client.create_experiment(name, location, experiment_tags(start.tags)))
                found = self.client.get_experiment_by_name(name)
            assert found is not None
            if found.lifecycle_stage == "deleted":
                restore_experiment(self.client, found.experiment_id)
            self._experiments[name] = found.experiment_id
        return self._experiments[name]
