"""Opening MLflow: the embedded store at the project's root, or a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piecewise.project import STORE, Project
from piecewise.tracking.store.credentials import lend
from piecewise.tracking.store.embedded import prepare
from piecewise.tracking.store.errors import is_busy
from piecewise.tracking.store.mlflow_settings import PRIVATE, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["EMBEDDED", "PRIVATE", "is_busy", "open_store"]

EMBEDDED = f"sqlite:///{STORE}"


def open_store(uri: str, project: Project) -> MlflowClient:
    """A client for `uri`; the embedded store is ready for it. Raises what `prepare` raises."""
    quiet()
    import mlflow

    address = f"sqlite:///{project.store}" if uri == EMBEDDED else uri
    if uri == EMBEDDED:
        prepare(project)
        _close_connections(address)
    else:
        lend(uri, project)
    mlflow.set_tracking_uri(address)
    return mlflow.MlflowClient(address)


def _close_connections(address: str) -> None:
    """Those that MLflow keeps from before may be to a file that has been replaced since."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    for kind in (Tracking, Registry):
        if address in kind._engine_map:
            kind._engine_map[address].dispose()
