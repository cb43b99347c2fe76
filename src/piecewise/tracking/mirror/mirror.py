"""The mirror brings what a run's journal records to MLflow. Pushing a run twice changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from piecewise.journal.reader import RunRecord, read_end, read_journal, read_start
from piecewise.journal.records import Metrics
from piecewise.journal.run_folder import RunFolder
from piecewise.locks import has_writer
from piecewise.manifest import MANIFEST
from piecewise.project import Project
from piecewise.tracking.mirror.artifact_digests import ArtifactRecord
from piecewise.tracking.mirror.facts import as_tags, fact_tags
from piecewise.tracking.mirror.live_runs import Complete, Followed, LiveRun, LiveRuns, Stamp, stamp_of
from piecewise.tracking.mirror.lookup import find_run, find_runs
from piecewise.tracking.mirror.points import as_mlflow
from piecewise.tracking.mirror.run_contents import (
    best_of_sweep,
    evaluation_of,
    fingerprint_of,
    points_of,
    upload,
    wants_model,
)
from piecewise.tracking.mirror.states import log_end, log_heartbeat
from piecewise.tracking.store.addresses import is_database
from piecewise.tracking.store.runs_by_sql import StoredRun
from piecewise.tracking.tags import MIRRORED

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric


class Mirror:
    """Pushes runs to one MLflow store. A run is found by our own id, so it is never created twice.

    A run that was deleted in the store stays deleted, unless `restores`. `live` holds what was already sent.
    """

    def __init__(
        self, client: MlflowClient, project: Project, restores: bool = False, live: Followed | None = None
    ) -> None:
        self.client = client
        is_embedded = is_database(str(client.tracking_uri))
        self._artifacts = ArtifactRecord(client, project) if is_embedded else None
        self.num_batches = 0  # of points, sent through this object
        self._live = LiveRuns(client, project, {} if live is None else live, restores)

    def push_live(self, folder: RunFolder) -> bool:
        """Send what a running job has recorded since the last call. True once there is nothing left to follow."""
        start = read_start(folder.journal) if folder.journal.is_file() else None
        if start is None:
            return False
        live = self._live.open(folder, start)
        if live is None:
            return True
        try:
            return self._send_news(live, folder)
        except Exception:
            found = find_run(self.client, start.id)
            if found is not None and found.is_deleted:  # somebody deleted the run while it trains
                return True
            raise

    def _send_news(self, live: LiveRun, folder: RunFolder) -> bool:
        """True once the run has ended and is sent whole. Until it is evaluated, only its final state is sent."""
        if read_end(folder.journal) is None:
            self._send(live)
            live.is_end_logged = False
            if time.monotonic() >= live.next_heartbeat:
                self._beat(live, folder)
            return False
        if live.is_end_logged and not (folder.metrics.is_file() or (folder.sealed / MANIFEST).is_file()):
            return False
        stamp, record = stamp_of(folder), read_journal(folder.journal, with_metrics=False)
        if record is None or record.end is None:  # it has just gone on
            return False
        is_final = record.end.status != "FINISHED" or record.start.is_sweep or (folder.sealed / MANIFEST).is_file()
        if is_final or evaluation_of(record, folder) is not None:
            self._push(folder, record, stamp, with_model=False)
            return True
        if not live.is_end_logged:
            self._send(live)
            log_end(self.client, record, live)
        live.is_end_logged = True
        return False

    def _beat(self, live: LiveRun, folder: RunFolder) -> None:
        record = read_journal(folder.journal, with_metrics=False)
        if record is not None:
            log_heartbeat(self.client, live, record)

    def push(self, folder: RunFolder, with_model: bool = False) -> str | None:
        """Send everything that the store lacks of a run. A line on what was sent; None if it lacked nothing."""
        stamp, record = stamp_of(folder), read_journal(folder.journal, with_metrics=False)
        return None if record is None else self._push(folder, record, stamp, with_model)

    def _push(self, folder: RunFolder, record: RunRecord, stamp: Stamp, with_model: bool) -> str | None:
        is_wanted = wants_model(record, folder)
        sends_model = with_model and is_wanted
        fingerprint = fingerprint_of(folder, sends_model)
        with self._live.search(record.start.id) as found:
            if self._is_there(found, fingerprint):
                return None
            live = self._live.open_found(folder, record.start, found)
        if live is None:
            return None
        evaluated = evaluation_of(record, folder)
        num_points = self._send(live, points_of(record, evaluated), fact_tags(record))
        if record.end is None and has_writer(folder.journal) and time.monotonic() >= live.next_heartbeat:
            log_heartbeat(self.client, live, record)
        log_end(self.client, record, live)  # before the files, whose sending may take long or fail
        live.send_inputs(self.client, record.start.inputs | (evaluated.inputs if evaluated is not None else {}))
        num_files, has_new_model = upload(self.client, self._artifacts, record, folder, live, evaluated, sends_model)
        if record.end is not None and sends_model == is_wanted:
            self.client.set_tag(live.run_id, MIRRORED, fingerprint)
            live.complete = None if record.start.is_sweep else Complete(stamp, fingerprint, sends_model)
        if record.end is None and not (num_points or num_files or has_new_model):
            return None
        return f"{record.start.title}: {num_points} points, {num_files} files{', its model' if has_new_model else ''}"

    def complete(self, folders: Iterable[RunFolder]) -> set[RunFolder]:
        """The runs that this process has sent whole, and that have not changed since; no sweeps.

        An embedded store is asked for all of them at once whether it still has them.
        """
        known = ((folder, self._live.known(folder)) for folder in folders)
        sent = {folder: live for folder, live in known if live is not None and _is_unchanged(live, folder)}
        if self._artifacts is None:
            return set(sent)
        found = find_runs(self.client, [live.piecewise_id for live in sent.values()])
        return {folder for folder, live in sent.items() if _is_same(found.get(live.piecewise_id), live)}

    def _send(self, live: LiveRun, more: Sequence[Metrics] = (), tags: Mapping[str, str] | None = None) -> int:
        """Send the new points, with `more` and `tags`, in as few requests as MLflow allows; returns their number."""
        count, (added, marks) = 0, as_mlflow(more)
        marks |= tags or {}
        for metrics, infinities in live.points.unsent():
            self._log(live, [*metrics, *added], marks | infinities)
            count, added, marks = count + len(metrics), [], {}
            self.num_batches += bool(metrics)  # what is sent again with each try is no progress
        if added or marks or live.unsent_parameters:
            self._log(live, added, marks)
        return count

    def _log(self, live: LiveRun, metrics: list[Metric], tags: Mapping[str, str]) -> None:
        self.client.log_batch(live.run_id, metrics, params=live.unsent_parameters, tags=as_tags(tags))
        live.unsent_parameters = []

    def _is_there(self, found: StoredRun | None, fingerprint: str) -> bool:
        """Whether the store has the whole run, in its final state."""
        # A late heartbeat of another process can overwrite the final state.
        if found is None or found.is_deleted or found.mirrored != fingerprint or found.status == "RUNNING":
            return False
        return self._artifacts is None or self._artifacts.missing(found.run_id) == []


def _is_unchanged(live: LiveRun, folder: RunFolder) -> bool:
    """Whether this process has sent all of a run, and its model if the sweep has ended and the run is a best one."""
    if live.complete is None or live.complete.stamp != stamp_of(folder):
        return False
    return live.complete.with_model or live.piecewise_id not in best_of_sweep(folder.parent)


def _is_same(found: StoredRun | None, live: LiveRun) -> bool:
    """Whether the store still has what this process has sent of a run; a run that was deleted stays so."""
    if found is None or live.complete is None or found.run_id != live.run_id:
        return False
    return found.is_deleted or (found.mirrored == live.complete.fingerprint and found.status != "RUNNING")
