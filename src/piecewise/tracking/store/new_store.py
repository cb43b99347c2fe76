"""A new embedded store: it appears whole, with its write-ahead log, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from piecewise.durable import put_in_place
from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.tracking.store.filesystem import ELSEWHERE
from piecewise.tracking.store.migration import remove_database
from piecewise.tracking.store.mlflow_settings import quiet
from piecewise.tracking.store.relocation import ARTIFACTS

LOG = "PRAGMA journal_mode = WAL"


def build(path: Path, project: Project) -> None:
    """In memory first, where MLflow's seventy migrations cost no disk, then as a whole file, then by its name."""
    remove_database(path)  # the log of one that was deleted alone would be taken for this one's
    fresh = aside_of(path)
    with closing(sqlite3.connect(fresh)) as store:
        with _made_by_mlflow(project) as made:
            made.backup(store)
        _begin_log(store, path)
    put_in_place(fresh, path)


def aside_of(path: Path) -> Path:
    """Where a store is until it is whole: in the same file system."""
    return path.with_name(f".{path.name}.new")


@contextmanager
def _made_by_mlflow(project: Project) -> Iterator[sqlite3.Connection]:
    quiet()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    memory: Any = SqlAlchemyStore("sqlite://", (project.root.absolute() / ARTIFACTS).as_uri())  # type: ignore[no-untyped-call]
    try:
        memory.delete_experiment("0")  # "Default", which nothing is ever logged to
        with closing(memory.engine.raw_connection()) as connection:
            yield connection.driver_connection
    finally:
        memory.engine.dispose()


def _begin_log(store: sqlite3.Connection, path: Path) -> None:
    """Raises BadInput where that cannot be: it is also the proof that a file system can share memory."""
    try:
        (mode,) = store.execute(LOG).fetchone()
        store.execute("SELECT count(*) FROM experiments").fetchone()
    except sqlite3.OperationalError as error:
        if not error.sqlite_errorname.startswith(("SQLITE_IOERR_SHM", "SQLITE_IOERR_LOCK")):
            raise
        mode = error.sqlite_errorname
    if mode != "wal":
        raise BadInput(f"{path} cannot have a write-ahead log on its file system ({mode}); allowed: {ELSEWHERE}")
