"""The mirror: what a run's journal says, brought to MLflow. Saying it twice changes nothing."""

from __future__ import annotations

import functools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.durable import has_writer, read_json, read_records
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.tracking.mirror.artifact_digests import ArtifactRecord
from piecewise.tracking.mirror.description import Describe
from piecewise.tracking.mirror.formatting import flatten
from piecewise.tracking.mirror.live_runs import Brought, Followed, Live
from piecewise.tracking.mirror.lookup import find_run, is_deleted
from piecewise.tracking.mirror.models import ModelOf, bring_model
from piecewise.tracking.mirror.points import Points, as_mlflow, milliseconds
from piecewise.tracking.mirror.run_contents import evaluation_of, files_of, fingerprint_of, table_of, wants_model
from piecewise.tracking.mirror.states import BEAT_SECONDS, counts, state_of_sweep
from piecewise.tracking.mirror.uploads import Uploads
from piecewise.tracking.tags import HEARTBEAT, MIRRORED, PROCESS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from torch import nn

# What a journal says that becomes tags.
FACTS = ("job_digest", "run_key", "digests", "numerics", "weights_digest", "num_parameters", "reason")
TABLE = "results.json"
MAX_TAGS = 100  # that MLflow takes in one batch

LoadModel = Callable[[RunFolder], "tuple[nn.Module, Any]"]  # the trained model and an example of its input


class Mirror:
    """Brings runs to one MLflow store. Runs are found by an id of ours, so that none is ever created twice.

    A run that somebody has deleted there stays deleted, unless `restores`.
    """

    def __init__(
        self, client: MlflowClient, project: Project, restores: bool = False, live: Followed | None = None
    ) -> None:
        self.client = client
        self.restores = restores
        is_embedded = str(client.tracking_uri).startswith("sqlite:")
        self._artifacts = ArtifactRecord(client, project) if is_embedded else None
        self._describe = Describe(client, project.artifacts if is_embedded else None)
        self._live: Followed = {} if live is None else live

    def reached(self, folder: RunFolder) -> int:
        """Up to which byte the journal's points are at the store, as far as this process knows."""
        _, live = self._live.get(folder.journal, ("", None))
        return 0 if live is None else live.points.reached

    def push_live(self, folder: RunFolder) -> bool:
        """Send what a running job has recorded since the last call; True once it is trained, evaluated and here."""
        start = next(read_records(folder.journal), None) if folder.journal.is_file() else None
        if start is None:
            return False
        live = self._open(folder, start)
        if live is None:
            return True
        try:
            live.points.send(self._taker(live))
        except Exception:
            if is_deleted(find_run(self.client, start["id"])):  # meanwhile, and while it trains
                self._live[folder.journal] = (start["id"], None)
                return True
            raise
        if not live.points.has_ended:
            live.has_ended = False
            self._beat(live, folder, start)
            return False
        return self._has_pushed_end(live, folder)

    def _has_pushed_end(self, live: Live, folder: RunFolder) -> bool:
        """Whether everything of a run that has ended is there; until it is evaluated, that it has ended."""
        if live.has_ended and not folder.metrics.is_file():
            return False
        record = read_journal(folder.journal, with_metrics=False)
        if record is None or record.end is None:
            return False
        is_trained = record.end["status"] == "FINISHED" and "num_jobs" not in record.start
        if is_trained and evaluation_of(record, folder) is None:
            if not live.has_ended:
                self._end(record, folder, live.run_id)
            live.has_ended = True
            return False
        self.push(folder)
        return True

    def push(self, folder: RunFolder, load_model: LoadModel | None = None) -> Brought | None:
        """Bring over everything the run has; None if nothing was missing."""
        record = read_journal(folder.journal, with_metrics=False) if folder.journal.is_file() else None
        if record is None:
            return None
        wanted = load_model is not None and wants_model(record, folder)
        fingerprint = fingerprint_of(folder, wanted)
        found = find_run(self.client, record.start["id"])
        if self._is_complete(found, fingerprint):
            return None
        if found is None:  # what this process has sent before went to another store at that address
            self._live.pop(folder.journal, None)
        live = self._open(folder, record.start, found)
        if live is None:
            return None
        points = live.points.send(self._taker(live))
        if record.end is None and has_writer(folder.journal):
            self._beat(live, folder, record.start)
        self._end(record, folder, live.run_id)  # before what takes long, or may fail: its state is true at once
        self._push_facts(record, folder, live.run_id)
        has_new_model = False
        with self._uploads(record, folder, live.run_id) as (uploads, files):
            num_files = uploads.send(files)
            if load_model is not None and wanted:
                load = functools.partial(load_model, folder)
                has_new_model = bring_model(self.client, _model_of(record, live.run_id), load, self._artifacts)
        if record.end is not None and (load_model is not None or not folder.weights.is_file()):
            self.client.set_tag(live.run_id, MIRRORED, fingerprint)
        if record.end is None and not (points or num_files or has_new_model):
            return None  # it goes on, and everything so far is here
        return Brought(record.start["title"], points, num_files, has_new_model)

    def _open(self, folder: RunFolder, start: dict[str, Any], found: Any = None) -> Live | None:
        """The run at the store, created if there is none; None if somebody has deleted it."""
        known_id, live = self._live.get(folder.journal, ("", None))
        is_current = found is None or (live is not None and found.info.run_id == live.run_id and not is_deleted(found))
        if known_id == start["id"] and is_current:
            return live
        found = found or find_run(self.client, start["id"])
        if is_deleted(found):
            if not self.restores:
                self._live[folder.journal] = (start["id"], None)
                return None
            self.client.restore_run(found.info.run_id)
        run_id = str(found.info.run_id) if found else self._describe.create(start)
        # Also for a run that was found: whoever created it may have been killed before it said more.
        self._describe.parameters(start, run_id)
        live = Live(run_id, Points(folder.journal))
        self._live[folder.journal] = (start["id"], live)
        return live

    def _beat(self, live: Live, folder: RunFolder, start: dict[str, Any]) -> None:
        """Say now and then that the run goes on, and in which process."""
        if time.monotonic() < live.beat:
            return
        record = read_journal(folder.journal, with_metrics=False)
        process = (record.resumed or [record.start])[-1].get("process") if record is not None else None
        self.client.update_run(live.run_id, "RUNNING")  # it may have been stopped before, or called dead
        self._tag(live.run_id, {PROCESS: json.dumps(process or {}), HEARTBEAT: str(int(time.time()))})
        if "num_jobs" in start:
            self._push_counts(folder, live.run_id)
        live.beat = time.monotonic() + BEAT_SECONDS

    def _taker(self, live: Live) -> Callable[[list[Metric], dict[str, str]], None]:
        def take(metrics: list[Metric], tags: dict[str, str]) -> None:
            self._tag(live.run_id, tags)
            self.client.log_batch(live.run_id, metrics)

        return take

    def _push_facts(self, record: RunRecord, folder: RunFolder, run_id: str) -> None:
        facts = {**record.start, **(record.end or {})}
        tags = dict(flatten({key: facts[key] for key in FACTS if key in facts}))
        changed = sorted({part for leg in record.resumed for part in leg.get("changed", [])})
        self._tag(run_id, tags | ({"resume.changed": ",".join(changed)} if changed else {}))
        evaluation = evaluation_of(record, folder)
        if evaluation is not None and record.end is not None:
            # Timed as the first end of training: the same on every replay, so that MLflow drops the doubles.
            values, step = read_json(folder.metrics), record.end.get("selected_step", 0)
            metrics, said = as_mlflow([{"time": record.finished, "step": step, "values": values}])
            self._tag(run_id, said)
            self.client.log_batch(run_id, metrics)
            self._describe.inputs(evaluation["inputs"], run_id)

    def _end(self, record: RunRecord, folder: RunFolder, run_id: str) -> None:
        if record.end is None:
            return
        status = record.end["status"]
        if "num_jobs" in record.start:
            status = state_of_sweep(self._push_counts(folder, run_id), int(record.start.get("num_jobs", 0)))
        self.client.set_terminated(run_id, status, milliseconds(record.end))

    def _push_counts(self, folder: RunFolder, run_id: str) -> list[str | None]:
        statuses = [
            None if child is None or child.end is None else child.end["status"]
            for child in (read_journal(path, with_metrics=False) for path in folder.children)
        ]
        self._tag(run_id, counts(statuses))
        return statuses

    def _tag(self, run_id: str, tags: dict[str, str]) -> None:
        """In few requests: a server takes its time for each."""
        from mlflow.entities import RunTag

        said = [RunTag(key, value) for key, value in tags.items()]
        for first in range(0, len(said), MAX_TAGS):
            self.client.log_batch(run_id, tags=said[first : first + MAX_TAGS])

    @contextmanager
    def _uploads(self, record: RunRecord, folder: RunFolder, run_id: str) -> Iterator[tuple[Uploads, dict[str, Path]]]:
        """What sends the run's files, and the files. What has arrived is recorded last, whatever went wrong."""
        uploads, files, table = Uploads(self.client, run_id), files_of(record, folder), table_of(record, folder)
        with tempfile.TemporaryDirectory() as place:
            if table:
                files[TABLE] = Path(place, TABLE)
                files[TABLE].write_text(json.dumps(table, indent=1))
            try:
                yield uploads, files
            finally:
                if self._artifacts is not None:
                    self._artifacts.write(run_id, files)
                elif files:
                    uploads.record()

    def _is_complete(self, found: Any, fingerprint: str) -> bool:
        if found is None or is_deleted(found) or found.data.tags.get(MIRRORED) != fingerprint:
            return False
        if found.info.status == "RUNNING":  # somebody who did not know yet that it has ended said so last
            return False
        return self._artifacts is None or self._artifacts.missing(found.info.run_id) == []


def _model_of(record: RunRecord, run_id: str) -> ModelOf:
    end = record.end or {}
    nll = end.get("val_nll")
    return ModelOf(
        run_id, record.start["name"], int(end.get("selected_step", 0)), math.inf if nll is None else float(nll)
    )
