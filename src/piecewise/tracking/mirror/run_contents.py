"""What a run has for MLflow besides its points: its evaluation, files, table of results and model."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.durable import read_json
from piecewise.journal.reader import RunRecord, read_end
from piecewise.journal.records import Input, Metrics
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import digest_file
from piecewise.tracking.mirror.artifact_digests import ArtifactRecord
from piecewise.tracking.mirror.live_runs import LiveRun
from piecewise.tracking.mirror.models import push_model
from piecewise.tracking.mirror.uploads import Uploads

if TYPE_CHECKING:
    from mlflow import MlflowClient

TABLE = "results.json"


@dataclass(frozen=True)
class Evaluated:
    """The metrics of a run's present weights, and the data sets they were measured on."""

    metrics: dict[str, float]
    inputs: dict[str, Input]


def evaluation_of(record: RunRecord, folder: RunFolder) -> Evaluated | None:
    """The run's evaluation; None if its weights were not evaluated.

    A stage that trains again still finds the evaluation of its earlier run; the weights' digest tells them apart.
    """
    if record.end is None or not (folder.evaluated.is_file() and folder.metrics.is_file()):
        return None
    evaluated = read_json(folder.evaluated)
    if evaluated["weights_digest"] != record.end.weights_digest:
        return None
    return Evaluated(read_json(folder.metrics), Input.parse_all(evaluated["inputs"]))


def files_of(record: RunRecord, folder: RunFolder, evaluated: Evaluated | None) -> dict[str, Path]:
    """The run's files, by their paths in MLflow."""
    config = folder.weights.with_suffix(".yaml")
    files = {f"config/{config.name}": config} if config.is_file() else {}
    if record.start.is_sweep and (table := folder.table).is_file():
        files[table.name] = table
    if folder.figures.is_dir() and (record.start.is_sweep or evaluated is not None):
        files |= {f"figures/{path.name}": path for path in sorted(folder.figures.iterdir()) if path.is_file()}
    return files


def table_of(record: RunRecord, evaluated: Evaluated | None) -> dict[str, Any] | None:
    """The run's results in MLflow's JSON form of a table; None until the run is evaluated."""
    if evaluated is None or record.end is None:
        return None
    end = record.end.raw
    counts = {key: end[key] for key in ("steps", "epochs", "num_parameters") if key in end}
    measured = evaluated.metrics | counts
    return {"columns": ["measure", "value"], "data": [[key, value] for key, value in measured.items()]}


def points_of(record: RunRecord, evaluated: Evaluated | None) -> list[Metrics]:
    """The metrics of the run's evaluation, as a record of a journal."""
    if evaluated is None or record.end is None:
        return []
    # The time is that of the first FINISHED: MLflow drops a repeated point only if its time is equal too.
    return [Metrics(record.finished or record.end.time, record.end.selected_step, evaluated.metrics)]


def wants_model(record: RunRecord, folder: RunFolder) -> bool:
    """Whether the run's model goes to MLflow. With `log_model=best`, of a sweep's jobs only the best do."""
    choice = record.start.config.get("log_model", "best")
    if not folder.is_trained or choice == "none":
        return False
    return choice == "all" or not record.start.parent or record.start.id in best_of_sweep(folder.parent)


def best_of_sweep(journal: Path) -> frozenset[str]:
    """The ids of the best jobs of a sweep that has ended, by its journal. It is read again only if it has changed."""
    try:
        status = journal.stat()
    except OSError:
        return frozenset()
    return _best_of_sweep(journal, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _best_of_sweep(journal: Path, *_stamp: int) -> frozenset[str]:
    end = read_end(journal)
    return frozenset(end.best if end is not None else ())


def fingerprint_of(folder: RunFolder, wants_model: bool) -> str:
    """A digest of everything the mirror sends of a run. A sweep's includes the sizes of its jobs' journals, which only
    grow: its state follows from them."""
    hashed = hashlib.sha256(b"with a model and its basis" if wants_model else b"")
    figures = sorted(folder.figures.glob("*")) if folder.figures.is_dir() else []
    for path in (folder.journal, folder.metrics, folder.table, *figures):
        if path.is_file():
            hashed.update(f"{path.name}\0{digest_file(path)}".encode())
    for path in folder.children:
        hashed.update(f"{path.parent.name}\0{path.name}\0{path.stat().st_size}".encode())
    return hashed.hexdigest()


def upload(
    client: MlflowClient,
    artifacts: ArtifactRecord | None,
    record: RunRecord,
    folder: RunFolder,
    live: LiveRun,
    evaluated: Evaluated | None,
    with_model: bool,
) -> tuple[int, bool]:
    """Send the run's files, and its model if asked; (number of files sent, whether a model was logged).

    The digests of what has arrived are written last, and also after an error.
    """
    files, table = files_of(record, folder, evaluated), table_of(record, evaluated)
    uploads = Uploads(client, live.run_id)
    with tempfile.TemporaryDirectory() as temporary:
        if table:
            files[TABLE] = Path(temporary, TABLE)
            files[TABLE].write_text(json.dumps(table, indent=1), "utf-8")
        try:
            num_files = uploads.send(files) if artifacts is None else artifacts.send(live, files)
            return num_files, with_model and push_model(client, record, folder, live.run_id, artifacts)
        finally:
            if artifacts is not None:
                artifacts.write(live, files, with_model)
            elif files:
                uploads.record()
