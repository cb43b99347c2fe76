"""Making a new embedded store, which appears whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from piecewise.durable import put_in_place
from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.tracking.store.filesystem import ELSEWHERE
from piecewise.tracking.store.migration import remove_database
from piecewise.tracking.store.mlflow_internals import new_store

USE_LOG = "PRAGMA journal_mode = WAL"  # a write-ahead log: readers never wait, and writers wait less


def build(path: Path, project: Project) -> None:
    """Make a store in memory, write it to a temporary file, and rename that file to `path`."""
    remove_database(path)  # SQLite would apply the log of a deleted store to the new one
    temporary = temporary_path(path)
    artifacts = project.artifacts.absolute().as_uri()
    with closing(sqlite3.connect(temporary)) as store:
        with new_store(artifacts) as made:
            made.backup(store)
        _start_log(store, path)
    put_in_place(temporary, path)


def temporary_path(path: Path) -> Path:
    """The file that a new store is written to: beside `path`, since a rename needs one file system."""
    return path.with_name(f".{path.name}.new")


def _start_log(store: sqlite3.Connection, path: Path) -> None:
    """Start the write-ahead log and use it once. Raises BadInput if the file system cannot share memory."""
    try:
        (mode,) = store.execute(USE_LOG).fetchone()
        store.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if not error.sqlite_errorname.startswith(("SQLITE_IOERR_SHM", "SQLITE_IOERR_LOCK")):
            raise
        mode = error.sqlite_errorname
    if mode != "wal":
        raise BadInput(f"{path} cannot have a write-ahead log on its file system ({mode}); allowed: {ELSEWHERE}")
