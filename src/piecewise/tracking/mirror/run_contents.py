"""What a run has for MLflow besides its points: files, a table of results, and its model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise.durable import read_json
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.journal.records import Input
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import digest_file


@dataclass(frozen=True)
class Evaluation:
    """Which weights were evaluated, on which data sets."""

    weights_digest: str
    inputs: dict[str, Input]

    @classmethod
    def parse(cls, content: dict[str, Any]) -> Evaluation:
        return cls(content["weights_digest"], Input.parse_all(content["inputs"]))


def evaluation_of(record: RunRecord, folder: RunFolder) -> Evaluation | None:
    """What evaluated.json says, if this run was evaluated.

    A stage that trains again still finds the evaluation of its earlier run; the weights' digest tells them apart.
    """
    path = folder.evaluation / "evaluated.json"
    if record.end is None or not (path.is_file() and folder.metrics.is_file()):
        return None
    evaluation = Evaluation.parse(read_json(path))
    return evaluation if evaluation.weights_digest == record.end.weights_digest else None


def files_of(record: RunRecord, folder: RunFolder) -> dict[str, Path]:
    """The run's files, by their paths in MLflow."""
    files = {}
    for artifact in record.artifacts:
        path = folder.training / artifact.path
        if path.is_file():
            files[f"{artifact.folder}/{path.name}".lstrip("/")] = path
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
    """Whether the run's model goes to MLflow. With `log_model=best`, of a sweep's jobs only the best one's does."""
    choice = record.start.config.get("log_model", "best")
    if not (folder.weights.is_file() and folder.result.is_file()) or choice == "none":
        return False
    if choice == "all" or not record.start.parent:
        return True
    parent = read_journal(folder.parent, with_metrics=False) if folder.parent.is_file() else None
    return parent is not None and parent.end is not None and parent.end.best == record.start.id


def fingerprint_of(folder: RunFolder, wants_model: bool) -> str:
    """A digest of everything the mirror sends of a run; a sweep's includes the journals of its jobs."""
    hashed = hashlib.sha256(b"with a model" if wants_model else b"")
    figures = sorted(folder.figures.glob("*")) if folder.figures.is_dir() else []
    for path in (folder.journal, folder.metrics, *figures, *folder.children):
        if path.is_file():
            hashed.update(f"{path.name}\0{digest_file(path)}".encode())
    return hashed.hexdigest()
