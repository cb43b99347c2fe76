"""The mirror: what a run's journal says, brought to MLflow. Saying it twice changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.journal.folder import RunFolder
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.tracking.artifacts import ArtifactRecord
from piecewise.tracking.models import has_model, log_model
from piecewise.tracking.words import experiment_tags, flatten, tags_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from torch import nn

RUN_ID = "piecewise.run_id"
MIRRORED = "piecewise.mirrored"  # the fingerprint of everything that was brought over
MAX_METRICS = 1000  # that MLflow takes in one batch, and
MAX_PARAMS = 100
# What a journal says that becomes tags.
FACTS = ("job_digest", "run_key", "digests", "numerics", "weights_digest", "num_parameters", "reason")

LoadModel = Callable[[RunFolder], "tuple[nn.Module, Any]"]  # the trained model and an example of its input


@dataclass
class Progress:
    """How far a live run has been mirrored by this process."""

    mlflow_id: str
    sent: int = 0


class Mirror:
    """Brings runs to one MLflow store. Runs are found by an id of ours, so that none is ever created twice."""

    def __init__(self, client: MlflowClient, root: Path) -> None:
        self.client = client
        self.root = root
        is_embedded = str(client.tracking_uri).startswith("sqlite:")
        self._artifacts = ArtifactRecord(client, root) if is_embedded else None
        self._progress: dict[str, Progress] = {}
        self._experiments: dict[str, str] = {}

    def push_live(self, folder: RunFolder) -> bool:
        """Send what a running job has recorded since the last call; True once it is trained, evaluated and here."""
        record = read_journal(folder.journal) if folder.journal.is_file() else None
        if record is None:
            return False
        self._push_metrics(record, self._open_run(record))
        if _evaluation(record, folder) is None:
            return False
        self.push(folder)
        return True

    def push(self, folder: RunFolder, load_model: LoadModel | None = None) -> bool:
        """Bring over everything the run has; False if nothing was missing."""
        record = read_journal(folder.journal) if folder.journal.is_file() else None
        if record is None:
            return False
        fingerprint = _fingerprint(folder)
        found = find_run(self.client, record.start["id"])
        if found is not None and found.data.tags.get(MIRRORED) == fingerprint and self._has_files(found.info.run_id):
            return False
        progress = self._open_run(record)
        run_id = progress.mlflow_id
        self._push_metrics(record, progress)
        self._push_evaluation(record, folder, run_id)
        pushed = self._push_files(record, folder, run_id)
        has_weights = folder.weights.is_file()
        try:
            if load_model is not None and has_weights and not has_model(self.client, run_id, self._artifacts):
                log_model(run_id, *load_model(folder))
        finally:  # whether or not the model can be exported, the run ended as it ended
            if record.end is not None:
                self.client.set_terminated(run_id, record.end["status"], _milliseconds(record.end))
            if self._artifacts is not None:
                self._artifacts.write(run_id, pushed)
        if record.end is not None and (load_model is not None or not has_weights):
            self.client.set_tag(run_id, MIRRORED, fingerprint)
        return True

    def _open_run(self, record: RunRecord) -> Progress:
        start = record.start
        progress = self._progress.get(start["id"])
        if progress is None:
            found = find_run(self.client, start["id"])
            progress = Progress(found.info.run_id if found else self._create(start))
            # Also for a run that was found: whoever created it may have been killed before it said more.
            self._describe(start, progress.mlflow_id)
            if record.end is None and found is not None and found.info.end_time is not None:
                self.client.update_run(progress.mlflow_id, "RUNNING")  # it was stopped, and goes on
            self._progress[start["id"]] = progress
        return progress

    def _create(self, start: dict[str, Any]) -> str:
        tags = tags_of(start) | {RUN_ID: start["id"]}
        parent = find_run(self.client, start["parent"]) if start.get("parent") else None
        if parent is not None:
            tags["mlflow.parentRunId"] = parent.info.run_id
        run = self.client.create_run(self._experiment(start), _milliseconds(start), tags, start["title"])
        return str(run.info.run_id)

    def _describe(self, start: dict[str, Any], run_id: str) -> None:
        from mlflow.entities import Param

        params = [Param(key, value) for key, value in flatten(start.get("config", {}))]
        for batch in _batches(params, MAX_PARAMS):
            self.client.log_batch(run_id, params=batch)
        self._log_inputs(start.get("inputs", {}), run_id)

    def _experiment(self, start: dict[str, Any]) -> str:
        name = start["name"]
        if name not in self._experiments:
            found = self.client.get_experiment_by_name(name)
            if found is None:
                location = (self.root / "mlartifacts" / name).as_uri() if self._artifacts is not None else None
                self._experiments[name] = self.client.create_experiment(name, location, experiment_tags(start))
                return self._experiments[name]
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            self._experiments[name] = found.experiment_id
        return self._experiments[name]

    def _log_inputs(self, inputs: dict[str, Any], run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        for part, data in inputs.items():
            # The store keeps 36 characters of a digest; the tag has them all.
            source = json.dumps({"uri": data["source"]})
            dataset = Dataset(data["name"], data["digest"][:32], "local", source, profile=json.dumps(data["profile"]))
            tags = [InputTag("mlflow.data.context", part), InputTag("sha256", data["digest"])]
            self.client.log_inputs(run_id, [DatasetInput(dataset, tags)])

    def _push_metrics(self, record: RunRecord, progress: Progress) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(key, value, _milliseconds(entry), entry["step"])
            for entry in record.metrics[progress.sent :]
            for key, value in entry["values"].items()
        ]
        for batch in _batches(metrics, MAX_METRICS):
            self.client.log_batch(progress.mlflow_id, metrics=batch)
        progress.sent = len(record.metrics)

    def _push_evaluation(self, record: RunRecord, folder: RunFolder, run_id: str) -> None:
        from mlflow.entities import Metric

        facts = {**record.start, **(record.end or {})}
        for key, value in flatten({key: facts[key] for key in FACTS if key in facts}):
            self.client.set_tag(run_id, key, value)
        evaluation = _evaluation(record, folder)
        if evaluation is not None and record.end is not None:
            # Timed as the end of training: the same on every replay, so that MLflow drops the doubles.
            when, step = _milliseconds(record.end), record.end.get("selected_step", 0)
            values = json.loads(folder.metrics.read_text())
            self.client.log_batch(run_id, [Metric(key, value, when, step) for key, value in values.items()])
            self._log_inputs(evaluation["inputs"], run_id)

    def _push_files(self, record: RunRecord, folder: RunFolder, run_id: str) -> dict[str, Path]:
        """The files that were brought over, by the path that MLflow shows."""
        pushed = {}
        for artifact in record.artifacts:
            path = folder.training / artifact["path"]
            if path.is_file():
                self.client.log_artifact(run_id, str(path), artifact["folder"] or None)
                pushed[f"{artifact['folder']}/{path.name}".lstrip("/")] = path
        is_parent = "config" not in record.start
        if folder.figures.is_dir() and (is_parent or _evaluation(record, folder) is not None):
            self.client.log_artifacts(run_id, str(folder.figures), "figures")
            pushed |= {f"figures/{path.name}": path for path in folder.figures.iterdir() if path.is_file()}
        return pushed

    def _has_files(self, run_id: str) -> bool:
        return self._artifacts is None or self._artifacts.missing(run_id) == []


def find_run(client: MlflowClient, piecewise_id: str) -> Any:
    """MLflow's run for one of ours, or None."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, f"tags.`{RUN_ID}` = '{piecewise_id}'", max_results=1)
    return runs[0] if runs else None


def find_page(client: MlflowClient, piecewise_id: str) -> str | None:
    """The run's page, as the end of an address of MLflow's server."""
    run = find_run(client, piecewise_id)
    return None if run is None else f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def _evaluation(record: RunRecord, folder: RunFolder) -> dict[str, Any] | None:
    """What was evaluated, if it was this run: a stage that trains anew finds the evaluation of the run before it."""
    path = folder.evaluation / "evaluated.json"
    if record.end is None or not (path.is_file() and folder.metrics.is_file()):
        return None
    evaluated: dict[str, Any] = json.loads(path.read_text())
    return evaluated if evaluated["weights_digest"] == record.end.get("weights_digest") else None


def _fingerprint(folder: RunFolder) -> str:
    figures = sorted(folder.figures.glob("*")) if folder.figures.is_dir() else []
    hashed = hashlib.sha256()
    for path in (folder.journal, folder.metrics, *figures):
        if path.is_file():
            hashed.update(path.name.encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()


def _milliseconds(record: dict[str, Any]) -> int:
    return int(record["time"] * 1000)


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
