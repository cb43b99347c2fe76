"""The parts of MLflow that it does not document. Every item has a test that fails when MLflow changes it.

Nothing else outside `server/mlflow_plugin/` and `runs_by_sql` knows MLflow's tables, classes or folders. MLflow is
imported only where its own code must run: the import takes 1 s, and most commands only read the store.
"""

import importlib
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from piecewise.tracking.store.mlflow_settings import quiet

# Every column that can hold the address of an artifact. MLflow has no call that changes such an address.
ADDRESS_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
# The columns among them that `piecewise doctor` reads. MLflow's client would write to the store that it opens.
ACTIVE_ADDRESSES = " UNION ".join(
    f"SELECT {column} FROM {table} WHERE lifecycle_stage = 'active' AND {column} IS NOT NULL"
    for table, column in ADDRESS_COLUMNS[:3]
)
EXPERIMENTS = "SELECT experiment_id, name, artifact_location FROM experiments"
LIGHTNING = "mlflow.pytorch._lightning_autolog"


def schema_revision(store: sqlite3.Connection) -> str | None:
    """The schema's revision; None if the database names none. MLflow's own call imports MLflow."""
    if store.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = store.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def known_revisions() -> dict[str, list[str]]:
    """Each schema revision of the installed MLflow, with the revisions it builds on, read from its migrations.

    MLflow says which revision it wants only after it has opened a store, and never which older ones it can migrate.
    """
    found, mlflow = {}, find_spec("mlflow")
    assert mlflow is not None
    for path in Path(str(mlflow.origin)).parent.glob("store/db_migrations/versions/*.py"):
        assigned = dict(re.findall(r"^(revision|down_revision)\b[^=\n]*=(.*)", path.read_text("utf-8"), re.MULTILINE))
        if "revision" in assigned:  # not __init__.py
            found[assigned["revision"].strip(" \"'")] = re.findall(r"[\"'](\w+)[\"']", assigned["down_revision"])
    return found


def newest_revision() -> str:
    """The schema revision that the installed MLflow expects: the one that no other builds on."""
    revisions = known_revisions()
    (newest,) = revisions.keys() - {earlier for several in revisions.values() for earlier in several}
    return newest


@contextmanager
def new_store(artifacts: str) -> Iterator[sqlite3.Connection]:
    """An empty store in memory, whose 70 migrations then cost no disk access. MLflow's client can only build files.

    `artifacts` is the address below which MLflow would keep the artifacts of experiments.
    """
    quiet()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store: Any = SqlAlchemyStore("sqlite://", artifacts)  # type: ignore[no-untyped-call]
    try:
        store.delete_experiment("0")  # "Default", which piecewise never uses
        with closing(store.engine.raw_connection()) as connection:
            yield connection.driver_connection
    finally:
        store.engine.dispose()


@contextmanager
def quick_pytorch() -> Iterator[Any]:
    """MLflow's module `mlflow.pytorch` without what costs seconds and makes no difference to a saved model.

    It would import Lightning, for its automatic logging, and go on without it if that is missing. It would list the
    files of every installed package, to warn if a model's packages are not the installed ones, which ours are.
    """
    modules: dict[str, Any] = sys.modules
    is_known = modules.setdefault(LIGHTNING, None) is not None
    try:
        pytorch = importlib.import_module("mlflow.pytorch")
    finally:
        if not is_known:
            del modules[LIGHTNING]
    with patch("mlflow.utils.environment.warn_dependency_requirement_mismatches"):
        yield pytorch


@cache
def write_without_waiting() -> None:
    """From now on, let no connection of this process to an SQLite store wait for the disk at each commit.

    With a write-ahead log, a power loss then costs the last commits and no more, and `piecewise sync` brings them again
    from the journals. A push of one run has ten commits. MLflow has no option for this.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def relax(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = NORMAL")

    event.listen(Engine, "connect", relax)


def close_connections(address: str) -> None:
    """Close the connections that MLflow keeps for `address`: the file there may be another one now.

    MLflow has no call for this. Its option for a pool that keeps none (NullPool) makes every call end with a
    checkpoint of the write-ahead log.
    """
    for engines in _engines():
        if address in engines:
            engines[address].dispose()


def close_all_connections() -> None:
    """Close every connection to a database. The last one to an SQLite file empties its write-ahead log."""
    for engines in _engines():
        for engine in engines.values():
            engine.dispose()


def _engines() -> list[dict[str, Any]]:
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    return [Tracking._engine_map, Registry._engine_map]
