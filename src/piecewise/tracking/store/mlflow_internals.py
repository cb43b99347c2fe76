"""The parts of MLflow that it does not document. Every item has a test that fails when MLflow changes it.

Nothing else outside `server/mlflow_plugin/` knows MLflow's tables, classes or folders. MLflow is imported only where
its own code must run: the import takes 1 s, and most commands only read the store.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from piecewise.tracking.store.mlflow_settings import quiet
from piecewise.tracking.tags import RUN_ID

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
# Ending runs with SQL takes milliseconds, so every command does it. MLflow's client needs seconds to import and open.
RUNNING = """
SELECT run_uuid FROM runs WHERE status = 'RUNNING' AND lifecycle_stage = 'active'
AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = ?)
"""
TAGS = "SELECT key, value FROM tags WHERE run_uuid = ?"
END = "UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ? AND status = 'RUNNING'"
End = tuple[str, int]  # a status, and a time in milliseconds since 1970


def end_running(store: sqlite3.Connection, end_of: Callable[[dict[str, str]], End | None]) -> None:
    """End each of our runs that the store calls running and for which `end_of`, given its tags, returns an end."""
    tags = {run_id: dict(store.execute(TAGS, (run_id,)).fetchall()) for (run_id,) in store.execute(RUNNING, (RUN_ID,))}
    ends = {run_id: end_of(of_run) for run_id, of_run in tags.items()}  # all before the first update locks the store
    store.executemany(END, [(*end, run_id) for run_id, end in ends.items() if end is not None])


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


def close_connections(address: str) -> None:
    """Close the connections that MLflow keeps for `address`: the file there may be another one now.

    MLflow has no call for this. Its option for a pool that keeps none (NullPool) makes every call end with a
    checkpoint of the write-ahead log.
    """
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    for kind in (Tracking, Registry):
        if address in kind._engine_map:
            kind._engine_map[address].dispose()
