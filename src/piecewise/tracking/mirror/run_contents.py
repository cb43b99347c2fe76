"""What a run has for MLflow besides its points: files, a table of results, a model if it is wanted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from piecewise.durable import read_json
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import digest_file


def evaluation_of(record: RunRecord, folder: RunFolder) -> dict[str, Any] | None:
    """What was evaluated, if it was this run: a stage that trains anew finds the evaluation of the run before it."""
    path = folder.evaluation / "evaluated.json"
    if record.end is None or not (path.is_file() and folder.metrics.is_file()):
        return None
    evaluated = read_json(path)
    return evaluated if evaluated["weights_digest"] == record.end.get("weights_digest") else None


def files_of(record: RunRecord, folder: RunFolder) -> dict[str, Path]:
    """The run's files, by the path that MLflow shows."""
    files = {}
    for artifact in record.artifacts:
        path = folder.training / artifact["path"]
        if path.is_file():
            files[f"{artifact['folder']}/{path.name}".lstrip("/")] = path
    is_sweep = "num_jobs" in record.start
    if folder.figures.is_dir() and (is_sweep or evaluation_of(record, folder) is not None):
        files |= {f"figures/{path.name}": path for path in sorted(folder.figures.iterdir()) if path.is_file()}
    return files


def table_of(record: RunRecord, folder: RunFolder) -> dict[str, Any] | None:
    """The run's measurements as the table that MLflow's pages show; None before it is evaluated."""
    if evaluation_of(record, folder) is None or record.end is None:
        return None
    measured = read_json(folder.metrics)
    counted = {key: record.end[key] for key in ("steps", "epochs", "num_parameters") if key in record.end}
    return {"columns": ["measure", "value"], "data": [[key, value] for key, value in (measured | counted).items()]}


def wants_model(record: RunRecord, folder: RunFolder) -> bool:
    """Whether the run's model goes to MLflow: `log_model` says; of a sweep's jobs it is the best one's, unless all."""
    choice = record.start.get("config", {}).get("log_model", "best")
    if not (folder.weights.is_file() and folder.result.is_file()) or choice == "none":
        return False
    if choice == "all" or not record.start.get("parent"):
        return True
    parent = read_journal(folder.parent, with_metrics=False) if folder.parent.is_file() else None
    return parent is not None and parent.end is not None and parent.end.get("best") == record.start["id"]


def fingerprint_of(folder: RunFolder, wants_model: bool) -> str:
    """Another one as soon as anything of the run is another."""
    hashed = hashlib.sha256(b"with a model" if wants_model else b"")
    figures = sorted(folder.figures.glob("*")) if folder.figures.is_dir() else []
    for path in (folder.journal, folder.metrics, *figures, *folder.children):
        if path.is_file():
            hashed.update(f"{path.name}\0{digest_file(path)}".encode())
    return hashed.hexdigest()
