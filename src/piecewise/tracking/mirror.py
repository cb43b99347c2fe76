"""The mirror: what a run's journal says, brought to MLflow. Saying it twice changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.durable import read_records
from piecewise.journal.folder import RunFolder
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.tracking.artifacts import ArtifactRecord
from piecewise.tracking.contents import evaluation_of, files_of, fingerprint_of, table_of, wants_model
from piecewise.tracking.describe import Describe
from piecewise.tracking.found import find_run, is_deleted
from piecewise.tracking.models import has_model, log_model, register
from piecewise.tracking.points import Points, milliseconds
from piecewise.tracking.states import BEAT_SECONDS, HEARTBEAT, PROCESS, counts, state_of_sweep
from piecewise.tracking.uploads import Uploads
from piecewise.tracking.words import flatten

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from torch import nn

MIRRORED = "piecewise.mirrored"  # the fingerprint of everything that was brought over
# What a journal says that becomes tags.
FACTS = ("job_digest", "run_key", "digests", "numerics", "weights_digest", "num_parameters", "reason")
TABLE = "results.json"

LoadModel = Callable[[RunFolder], "tuple[nn.Module, Any]"]  # the trained model and an example of its input


@dataclass
class Live:
    """How far this process has brought a run."""

    run_id: str  # MLflow's
    points: Points
    beat: float = 0.0


Followed = dict[Path, tuple[str, Live | None]]  # by journal: our id of its run, and how far it is


@dataclass(frozen=True)
class Brought:
    """What was missing of a run and no longer is."""

    title: str
    points: int
    files: int
    model: bool

    def __str__(self) -> str:
        what = [f"{self.points} points", f"{self.files} files", *(["its model"] if self.model else [])]
        return f"{self.title}: {', '.join(what)}"


class Mirror:
    """Brings runs to one MLflow store. Runs are found by an id of ours, so that none is ever created twice.

    A run that somebody has deleted there stays deleted, unless `restores`.
    """

    def __init__(self, client: MlflowClient, root: Path, restores: bool = False, live: Followed | None = None) -> None:
        self.client = client
        self.restores = restores
        is_embedded = str(client.tracking_uri).startswith("sqlite:")
        self._artifacts = ArtifactRecord(client, root) if is_embedded else None
        self._describe = Describe(client, root / "mlartifacts" if is_embedded else None)
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
            self._beat(live, folder, start)
            return False
        record = read_journal(folder.journal, with_metrics=False)
        if record is None or ("num_jobs" not in start and evaluation_of(record, folder) is None):
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
        live = self._open(folder, record.start, found)
        if live is None:
            return None
        points = live.points.send(self._taker(live))
        self._push_facts(record, folder, live.run_id)
        self._end(record, folder, live.run_id)  # before what takes long, or may fail: its state is true at once
        files = files_of(record, folder)
        has_new_model = False
        try:
            num_files = self._push_files(record, folder, live.run_id, files)
            if load_model is not None and wanted and not has_model(self.client, live.run_id, self._artifacts):
                self._push_model(record, live.run_id, *load_model(folder))
                has_new_model = True
        finally:
            self._seal(live.run_id, files)
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
        self.client.update_run(live.run_id, "RUNNING")  # it may have been stopped before
        self._tag(live.run_id, {PROCESS: json.dumps(process or {}), HEARTBEAT: str(int(time.time()))})
        if "num_jobs" in start:
            self._push_counts(folder, live.run_id)
        live.beat = time.monotonic() + BEAT_SECONDS

    def _taker(self, live: Live) -> Callable[[list[Metric], dict[str, str]], None]:
        from mlflow.entities import RunTag

        def take(metrics: list[Metric], tags: dict[str, str]) -> None:
            self.client.log_batch(live.run_id, metrics, tags=[RunTag(key, value) for key, value in tags.items()])

        return take

    def _push_facts(self, record: RunRecord, folder: RunFolder, run_id: str) -> None:
        from mlflow.entities import Metric

        facts = {**record.start, **(record.end or {})}
        tags = dict(flatten({key: facts[key] for key in FACTS if key in facts}))
        changed = sorted({part for leg in record.resumed for part in leg.get("changed", [])})
        self._tag(run_id, tags | ({"resume.changed": ",".join(changed)} if changed else {}))
        evaluation = evaluation_of(record, folder)
        if evaluation is not None and record.end is not None:
            # Timed as the end of training: the same on every replay, so that MLflow drops the doubles.
            when, step = milliseconds(record.end), record.end.get("selected_step", 0)
            values = json.loads(folder.metrics.read_text())
            self.client.log_batch(run_id, [Metric(key, value, when, step) for key, value in values.items()])
            self._describe.inputs(evaluation["inputs"], run_id)

    def _end(self, record: RunRecord, folder: RunFolder, run_id: str) -> None:
        if record.end is None:
            if record.resumed:
                self.client.update_run(run_id, "RUNNING")  # it was stopped, and goes on
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
        """In one request: a server takes its time for each."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def _push_files(self, record: RunRecord, folder: RunFolder, run_id: str, files: dict[str, Path]) -> int:
        table = table_of(record, folder)
        if table:
            self.client.log_dict(run_id, table, TABLE)
        return Uploads(self.client, run_id).send(files)

    def _push_model(self, record: RunRecord, run_id: str, model: nn.Module, example: Any) -> None:
        end = record.end or {}
        run = self.client.get_run(run_id)
        model_id = log_model(self.client, run, model, example, int(end.get("selected_step", 0)))
        register(self.client, record.start["name"], model_id, run_id, float(end.get("val_nll") or "inf"))

    def _seal(self, run_id: str, files: dict[str, Path]) -> None:
        if self._artifacts is not None:
            self._artifacts.write(run_id, files)
        elif files:
            Uploads(self.client, run_id).record(files)

    def _is_complete(self, found: Any, fingerprint: str) -> bool:
        if found is None or is_deleted(found) or found.data.tags.get(MIRRORED) != fingerprint:
            return False
        return self._artifacts is None or self._artifacts.missing(found.info.run_id) == []
