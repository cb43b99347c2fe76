"""Our runs in an SQLite store, found and ended by SQL. It knows MLflow's tables, as `mlflow_internals` does."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from piecewise.tracking.store.addresses import is_database
from piecewise.tracking.tags import MIRRORED, RUN_ID

# MLflow has no index for these: each search for a run would read a row of every run. SQLite uses a partial index only
# for a query with the same text, so the tags are no parameters.
INDEXES = (
    f"CREATE INDEX IF NOT EXISTS piecewise_run_ids ON tags (value) WHERE key = '{RUN_ID}'",
    "CREATE INDEX IF NOT EXISTS piecewise_running ON runs (run_uuid) WHERE status = 'RUNNING'",
)
OF_IDS = f"""
SELECT own.value, runs.run_uuid, runs.experiment_id, runs.artifact_uri, runs.status, runs.lifecycle_stage, sent.value
FROM tags AS own INDEXED BY piecewise_run_ids JOIN runs ON runs.run_uuid = own.run_uuid
LEFT JOIN tags AS sent ON sent.run_uuid = own.run_uuid AND sent.key = '{MIRRORED}'
WHERE own.key = '{RUN_ID}' AND own.value IN (SELECT value FROM json_each(?))
"""
# Ending runs with SQL takes milliseconds, so every command does it. MLflow's client needs seconds to import and open.
RUNNING = """
SELECT run_uuid FROM runs WHERE status = 'RUNNING' AND lifecycle_stage = 'active'
AND EXISTS (SELECT 1 FROM tags WHERE tags.key = ? AND tags.run_uuid = runs.run_uuid)
"""
TAGS = "SELECT key, value FROM tags WHERE run_uuid = ?"
END = "UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ? AND status = 'RUNNING'"
End = tuple[str, int]  # a status, and a time in milliseconds since 1970


@dataclass(frozen=True)
class StoredRun:
    """A run in a store, as far as the mirror must know it."""

    run_id: str  # MLflow's
    experiment_id: str
    artifact_uri: str
    status: str
    is_deleted: bool
    mirrored: str | None  # the tag MIRRORED


def add_indexes(store: sqlite3.Connection) -> None:
    """Make the indexes that piecewise needs, where they are missing."""
    for statement in INDEXES:
        store.execute(statement)


def stored_runs(address: str, piecewise_ids: Sequence[str]) -> list[tuple[str, StoredRun]] | None:
    """The runs with these ids of ours, deleted ones included; MLflow's own search takes 5 ms, for one id.

    None if `address` is no SQLite file that MLflow has open, or if the file was too busy to get its indexes.
    """
    if not is_database(address):
        return None
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import OperationalError

    engine: Any = SqlAlchemyStore._engine_map.get(address)
    if engine is None:
        return None
    try:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(OF_IDS, (json.dumps(list(piecewise_ids)),)).all()
    except OperationalError as error:
        if "no such index" not in str(error):
            raise
        return None
    return [
        (own, StoredRun(run_id, str(experiment), uri, status, stage == "deleted", mirrored))
        for own, run_id, experiment, uri, status, stage, mirrored in rows
    ]


def end_running(store: sqlite3.Connection, end_of: Callable[[dict[str, str]], End | None]) -> None:
    """End each of our runs that the store calls running and for which `end_of`, given its tags, returns an end."""
    tags = {run_id: dict(store.execute(TAGS, (run_id,)).fetchall()) for (run_id,) in store.execute(RUNNING, (RUN_ID,))}
    ends = {run_id: end_of(of_run) for run_id, of_run in tags.items()}  # all before the first update locks the store
    store.executemany(END, [(*end, run_id) for run_id, end in ends.items() if end is not None])
