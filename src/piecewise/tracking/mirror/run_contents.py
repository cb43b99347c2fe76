"""What a run has for MLflow besides its points: its evaluation, files, table of results and model."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.durable import read_json
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.journal.records import Input, Metrics
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import digest_file
from piecewise.tracking.mirror.artifact_digests import ArtifactRecord
from piecewise.tracking.mirror.facts import log_inputs, log_tags
from piecewise.tracking.mirror.models import push_model
from piecewise.tracking.mirror.points import as_mlflow
from piecewise.tracking.mirror.uploads import Uploads

if TYPE_CHECKING:
    from mlflow import MlflowClient

TABLE = "results.json"


def evaluation_of(record: RunRecord, folder: RunFolder) -> dict[str, Input] | None:
    """The data sets that the run's weights were evaluated on; None if they were not evaluated.

    A stage that trains again still finds the evaluation of its earlier run; the weights' digest tells them apart.
    """
    if record.end is None or not (folder.evaluated.is_file() and folder.metrics.is_file()):
        return None
    evaluated = read_json(folder.evaluated)
    return Input.parse_all(evaluated["inputs"]) if evaluated["weights_digest"] == record.end.weights_digest else None


def files_of(record: RunRecord, folder: RunFolder) -> dict[str, Path]:
    """The run's files, by their paths in MLflow."""
    config = folder.weights.with_suffix(".yaml")
    files = {f"config/{config.name}": config} if config.is_file() else {}
    if folder.figures.is_dir() and (record.start.is_sweep or evaluation_of(record, folder) is not None):
        files |= {f"figures/{path.name}": path for path in sorted(folder.figures.iterdir()) if path.is_file()}
    return files


def table_of(record: RunRecord, folder: RunFolder) -> dict[str, Any] | None:
    """The run's results in MLflow's JSON form of a table; None until the run is evaluated."""
    if evaluation_of(record, folder) is None or record.end is None:
        return None
    measured = read_json(folder.metrics)
    end = record.end.raw
    counts = {key: end[key] for key in ("steps", "epochs", "num_parameters") if key in end}
    return {"columns": ["measure", "value"], "data": [[key, value] for key, value in (measured | counts).items()]}


def wants_model(record: RunRecord, folder: RunFolder) -> bool:
    """Whether the run's model goes to MLflow. With `log_model=best`, of a sweep's jobs only the best do."""
    choice = record.start.config.get("log_model", "best")
    if not (folder.weights.is_file() and folder.result.is_file()) or choice == "none":
        return False
    if choice == "all" or not record.start.parent:
        return True
    parent = read_journal(folder.parent, with_metrics=False) if folder.parent.is_file() else None
    return parent is not None and parent.end is not None and record.start.id in parent.end.best


def fingerprint_of(folder: RunFolder, wants_model: bool) -> str:
    """A digest of everything the mirror sends of a run; a sweep's includes the journals of its jobs."""
    hashed = hashlib.sha256(b"with a model and its basis" if wants_model else b"")
    figures = sorted(folder.figures.glob("*")) if folder.figures.is_dir() else []
    for path in (folder.journal, folder.metrics, *figures, *folder.children):
        if path.is_file():
            hashed.update(f"{path.name}\0{digest_file(path)}".encode())
    return hashed.hexdigest()


def log_evaluation(client: MlflowClient, record: RunRecord, folder: RunFolder, run_id: str) -> None:
    """Log the metrics of the run's evaluation and the data sets it used, if the run is evaluated."""
    inputs = evaluation_of(record, folder)
    if inputs is None or record.end is None:
        return
    # The time is that of the first FINISHED: MLflow drops a repeated point only if its time is equal too.
    point = Metrics(record.finished or record.end.time, record.end.selected_step, read_json(folder.metrics))
    metrics, infinities = as_mlflow([point])
    log_tags(client, run_id, infinities)
    client.log_batch(run_id, metrics)
    log_inputs(client, run_id, inputs)


def upload(
    client: MlflowClient,
    artifacts: ArtifactRecord | None,
    record: RunRecord,
    folder: RunFolder,
    run_id: str,
    with_model: bool,
) -> tuple[int, bool]:
    """Send the run's files, and its model if asked; (number of files sent, whether a model was logged).

    The digests of what has arrived are written last, and also after an error.
    """
    uploads, files, table = Uploads(client, run_id), files_of(record, folder), table_of(record, folder)
    with tempfile.TemporaryDirectory() as temporary:
        if table:
            files[TABLE] = Path(temporary, TABLE)
            files[TABLE].write_text(json.dumps(table, indent=1), "utf-8")
        try:
            num_files = uploads.send(files)
            return num_files, with_model and push_model(client, record, folder, run_id, artifacts)
        finally:
            if artifacts is not None:
                artifacts.write(run_id, files)
            elif files:
                uploads.record()
