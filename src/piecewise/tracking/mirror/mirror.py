"""The mirror brings what a run's journal records to MLflow. Pushing a run twice changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from piecewise.journal.reader import read_journal, read_start
from piecewise.journal.run_folder import RunFolder
from piecewise.locks import has_writer
from piecewise.project import Project
from piecewise.tracking.mirror.artifact_digests import ArtifactRecord
from piecewise.tracking.mirror.facts import log_facts, log_tags
from piecewise.tracking.mirror.live_runs import Followed, LiveRun, LiveRuns
from piecewise.tracking.mirror.lookup import find_run, is_deleted
from piecewise.tracking.mirror.run_contents import (
    evaluation_of,
    fingerprint_of,
    log_evaluation,
    upload,
    wants_model,
)
from piecewise.tracking.mirror.states import log_end, log_heartbeat
from piecewise.tracking.tags import MIRRORED

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Mirror:
    """Pushes runs to one MLflow store. A run is found by our own id, so it is never created twice.

    A run that was deleted in the store stays deleted, unless `restores`. `live` holds what was already sent.
    """

    def __init__(
        self, client: MlflowClient, project: Project, restores: bool = False, live: Followed | None = None
    ) -> None:
        self.client = client
        is_embedded = str(client.tracking_uri).startswith("sqlite:")
        self._artifacts = ArtifactRecord(client, project) if is_embedded else None
        artifacts = project.artifacts if is_embedded else None
        self.num_batches = 0  # of points, sent through this object
        self._live = LiveRuns(client, artifacts, {} if live is None else live, restores)

    def push_live(self, folder: RunFolder) -> bool:
        """Send what a running job has recorded since the last call. True once there is nothing left to follow."""
        start = read_start(folder.journal) if folder.journal.is_file() else None
        if start is None:
            return False
        live = self._live.open(folder, start)
        if live is None:
            return True
        try:
            self._send_points(live)
            return self._send_state(live, folder)
        except Exception:
            if is_deleted(find_run(self.client, start.id)):  # somebody deleted the run while it trains
                return True
            raise

    def _send_state(self, live: LiveRun, folder: RunFolder) -> bool:
        """True once the run has ended and is sent whole. Until it is evaluated, only its final state is sent."""
        if not live.points.has_ended:
            live.is_end_logged = False
            log_heartbeat(self.client, live, folder)
            return False
        if live.is_end_logged and not folder.metrics.is_file():
            return False
        record = read_journal(folder.journal, with_metrics=False)
        if record is None or record.end is None:
            return False
        if record.end.status != "FINISHED" or record.start.is_sweep or evaluation_of(record, folder) is not None:
            self.push(folder)
            return True
        if not live.is_end_logged:
            log_end(self.client, record, folder, live)
        live.is_end_logged = True
        return False

    def push(self, folder: RunFolder, with_model: bool = False) -> str | None:
        """Send everything that the store lacks of a run. A line on what was sent; None if it lacked nothing."""
        record = read_journal(folder.journal, with_metrics=False)
        if record is None:
            return None
        sends_model = with_model and wants_model(record, folder)
        fingerprint = fingerprint_of(folder, sends_model)
        found = find_run(self.client, record.start.id)
        if self._is_complete(found, fingerprint):
            return None
        live = self._live.open_found(folder, record.start, found)
        if live is None:
            return None
        num_points = self._send_points(live)
        if record.end is None and has_writer(folder.journal):
            log_heartbeat(self.client, live, folder)
        log_end(self.client, record, folder, live)  # first: uploads may take long or fail
        log_facts(self.client, live.run_id, record)
        log_evaluation(self.client, record, folder, live.run_id)
        num_files, has_new_model = upload(self.client, self._artifacts, record, folder, live.run_id, sends_model)
        if record.end is not None and (with_model or not folder.weights.is_file()):
            self.client.set_tag(live.run_id, MIRRORED, fingerprint)
        if record.end is None and not (num_points or num_files or has_new_model):
            return None
        return f"{record.start.title}: {num_points} points, {num_files} files{', its model' if has_new_model else ''}"

    def _send_points(self, live: LiveRun) -> int:
        count = 0
        for metrics, tags in live.points.unsent():
            log_tags(self.client, live.run_id, tags)
            self.client.log_batch(live.run_id, metrics)
            self.num_batches += 1
            count += len(metrics)
        return count

    def _is_complete(self, found: Any, fingerprint: str) -> bool:
        """Whether the store has the whole run, in its final state."""
        if found is None or is_deleted(found) or found.data.tags.get(MIRRORED) != fingerprint:
            return False
        if found.info.status == "RUNNING":  # a late heartbeat of another process has overwritten the final state
            return False
        return self._artifacts is None or self._artifacts.missing(found.info.run_id) == []
