"""Opening MLflow: the embedded store at the project's root, or a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED, database_address
from piecewise.tracking.store.credentials import lend
from piecewise.tracking.store.embedded import prepare
from piecewise.tracking.store.mlflow_internals import close_connections, write_without_waiting
from piecewise.tracking.store.mlflow_settings import quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_store(uri: str, project: Project) -> MlflowClient:
    """A client for `uri`. Prepares the embedded store, and raises what `prepare` raises."""
    quiet()
    import mlflow

    address = database_address(project.store) if uri == EMBEDDED else uri
    if uri == EMBEDDED:
        prepare(project)
        write_without_waiting()
        close_connections(address)
    else:
        lend(uri, project)
    mlflow.set_tracking_uri(address)
    return mlflow.MlflowClient(address)
