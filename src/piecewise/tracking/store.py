"""Opening MLflow: the embedded store at the project's root, or a server."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from piecewise.tracking.credentials import lend

if TYPE_CHECKING:
    from mlflow import MlflowClient

EMBEDDED = "sqlite:///mlflow.db"
# Neither telemetry nor unpickling, whatever MLflow's own defaults are, and nothing on our stdout.
PRIVATE = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def open_store(uri: str, root: Path) -> MlflowClient:
    """A client for `uri`; the embedded store is created once, under a lock, before anybody writes to it."""
    os.environ.update(PRIVATE)
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what it cannot do, it also raises
    warnings.filterwarnings("ignore", module="torch.export")
    address = f"sqlite:///{root / 'mlflow.db'}" if uri == EMBEDDED else uri
    mlflow.set_tracking_uri(address)
    if uri != EMBEDDED:
        lend(uri, root)
        return mlflow.MlflowClient(address)
    with _locked(root / "runs" / ".store.lock"):
        is_new = not (root / "mlflow.db").exists()
        client = mlflow.MlflowClient(address)
        client.search_experiments(max_results=1)  # creates the tables
        if is_new:
            client.delete_experiment("0")  # "Default", which nothing is ever logged to
    return client


def is_busy(error: BaseException | None) -> bool:
    """Whether an error of MLflow's comes from an embedded store that somebody is writing to."""
    while error is not None and not isinstance(error, sqlite3.OperationalError):
        error = error.__cause__
    return error is not None and error.sqlite_errorname.startswith("SQLITE_BUSY")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
