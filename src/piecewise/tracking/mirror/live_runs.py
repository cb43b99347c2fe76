"""The runs that this process follows, each with its run in the store and what of it was already sent."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from piecewise.errors import TryAgain
from piecewise.journal.names import folder_name
from piecewise.journal.records import Input, Start
from piecewise.journal.run_folder import RunFolder
from piecewise.locks import file_lock, holder
from piecewise.project import Project
from piecewise.tracking.mirror.facts import experiment_tags, log_inputs, parameters, process_text, run_tags
from piecewise.tracking.mirror.job_states import JobStates
from piecewise.tracking.mirror.lookup import as_stored, create_once, find_run, restore_experiment
from piecewise.tracking.mirror.points import Points, milliseconds
from piecewise.tracking.store.addresses import is_database
from piecewise.tracking.store.runs_by_sql import StoredRun
from piecewise.tracking.tags import HEARTBEAT, PROCESS, RUN_ID

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Param

MAX_NAME = 250  # characters of a run's name, in MLflow's tables
HEARTBEAT_SECONDS = 30.0
LOCK = ".store.runs"  # below runs/
LOCK_SECONDS = 30.0  # how long to wait for a process that creates a run
Stamp = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True)
class Complete:
    """What a run was when all of it was sent."""

    stamp: Stamp
    fingerprint: str
    with_model: bool


@dataclass
class LiveRun:
    """A run in the store, and how much of it this process has sent."""

    piecewise_id: str  # in the journal's first record
    run_id: str  # MLflow's
    artifact_uri: str
    points: Points
    jobs: JobStates  # of a sweep
    unsent_parameters: list[Param] = field(default_factory=list)
    sent_inputs: set[str] = field(default_factory=set)  # what the data sets are used for
    next_heartbeat: float = 0.0  # by the monotonic clock
    is_end_logged: bool = False  # whether the store shows the final state
    complete: Complete | None = None  # once the whole run is sent

    def send_inputs(self, client: MlflowClient, inputs: Mapping[str, Input]) -> None:
        """Send the data sets that this process has not sent yet."""
        new = {purpose: data for purpose, data in inputs.items() if purpose not in self.sent_inputs}
        log_inputs(client, self.run_id, new)
        self.sent_inputs |= new.keys()


def stamp_of(folder: RunFolder) -> Stamp:
    """What differs once anything of a run that the mirror sends may have changed: sizes and times; no file is read."""
    found: list[tuple[int, int] | None] = []
    for path in (folder.journal, folder.metrics, folder.figures):
        try:
            status = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)


Followed = dict[tuple[str, Path], LiveRun]  # by the store's address and the run's journal


class LiveRuns:
    """Opens or creates each run in the store once, and remembers it in `followed`.

    Deleted runs stay deleted, unless `restores`.
    """

    def __init__(self, client: MlflowClient, project: Project, followed: Followed, restores: bool) -> None:
        self.client = client
        self.project = project
        self.restores = restores
        self._followed = followed
        self._experiments: dict[str, str] = {}  # MLflow's id of each experiment, by name
        self._parents: dict[str, str] = {}  # MLflow's id of each sweep, by our id

    def known(self, folder: RunFolder) -> LiveRun | None:
        """The run of a folder, if this process has opened it."""
        return self._followed.get((str(self.client.tracking_uri), folder.journal))

    def open(self, folder: RunFolder, start: Start) -> LiveRun | None:
        """The run of a journal, created if the store has none; None if it was deleted there."""
        live = self.known(folder)
        if live is not None and live.piecewise_id == start.id:
            return live
        with self.search(start.id) as found:
            return self.open_found(folder, start, found)

    @contextmanager
    def search(self, piecewise_id: str) -> Iterator[StoredRun | None]:
        """The store's run with our id. No other process of the project creates one before the caller is done.

        Of a sweep that was killed, the mirror goes on beside that of the next command. Raises TryAgain.
        """
        with file_lock(self.project.runs / LOCK, LOCK_SECONDS, _busy):
            yield find_run(self.client, piecewise_id)

    def open_found(self, folder: RunFolder, start: Start, found: StoredRun | None) -> LiveRun | None:
        """As `open`, within `search`."""
        if found is not None and found.is_deleted:
            if not self.restores:
                return None
            self.client.restore_run(found.run_id)
        run = found or self.create(start)
        live = self.known(folder)
        # With another run id, what this process sent went to an older store at the same address.
        if live is None or (live.piecewise_id, live.run_id) != (start.id, run.run_id):
            live = LiveRun(start.id, run.run_id, run.artifact_uri, Points(folder.journal), JobStates(folder))
            # A run that was found may lack its parameters: its creator may have been killed before it logged them.
            live.unsent_parameters = parameters(start.config)
            if found is None:  # it was created with a heartbeat
                live.next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
            self._followed[str(self.client.tracking_uri), folder.journal] = live
        return live

    def create(self, start: Start) -> StoredRun:
        """Create a run from a journal's first record."""
        own = {RUN_ID: start.id, PROCESS: process_text(start.process), HEARTBEAT: str(int(time.time()))}
        tags = run_tags(start.tags) | own
        if start.parent and start.parent not in self._parents:
            parent = find_run(self.client, start.parent)
            self._parents |= {} if parent is None else {start.parent: parent.run_id}
        if start.parent in self._parents:
            tags["mlflow.parentRunId"] = self._parents[start.parent]
        name = start.title[:MAX_NAME]
        return as_stored(self.client.create_run(self._experiment(start), milliseconds(start.time), tags, name))

    def _experiment(self, start: Start) -> str:
        """MLflow's id of the run's experiment, which is created or restored if necessary."""
        name = start.name
        if name not in self._experiments:
            # An embedded store keeps the files of an experiment in the project, under its name.
            is_embedded = is_database(str(self.client.tracking_uri))
            location = (self.project.artifacts / folder_name(name)).as_uri() if is_embedded else None
            found = self.client.get_experiment_by_name(name)
            if found is None:
                create_once(lambda: self.client.create_experiment(name, location, experiment_tags(start.tags)))
                found = self.client.get_experiment_by_name(name)
            assert found is not None
            if found.lifecycle_stage == "deleted":
                restore_experiment(self.client, found.experiment_id)
            self._experiments[name] = found.experiment_id
        return self._experiments[name]


def _busy(lock: Path) -> TryAgain:
    return TryAgain(f"{holder(lock)} has been creating a run in MLflow for {LOCK_SECONDS:.0f} s")
