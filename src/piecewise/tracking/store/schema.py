"""A database with the schema of the installed MLflow: a new store, or a migrated one of an older MLflow."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from piecewise.durable import put_in_place
from piecewise.errors import BadInput, PiecewiseError, TryAgain
from piecewise.project import Project
from piecewise.tracking.store.addresses import database_address
from piecewise.tracking.store.errors import BUSY
from piecewise.tracking.store.filesystem import ELSEWHERE
from piecewise.tracking.store.mlflow_internals import new_store
from piecewise.tracking.store.mlflow_settings import PRIVATE
from piecewise.tracking.store.runs_by_sql import add_indexes

USE_LOG = "PRAGMA journal_mode = WAL"  # a write-ahead log: readers never wait, and writers wait less


def build(path: Path, project: Project) -> None:
    """Make a store in memory, write it to a temporary file, and rename that file to `path`."""
    remove_database(path)  # SQLite would apply the log of a deleted store to the new one
    temporary, _ = temporary_paths(path)
    with closing(sqlite3.connect(temporary)) as store:
        with new_store(project.artifacts.absolute().as_uri()) as made:
            made.backup(store)
        add_indexes(store)
        _start_log(store, path)
    put_in_place(temporary, path)


def migrate(path: Path, store: sqlite3.Connection, revision: str) -> None:
    """Keep the store as `mlflow.db.before-<revision>`, migrate a copy, and write the copy back in one transaction.

    MLflow migrates in many transactions, and a kill between two of them would leave a store that cannot be opened.
    The copy does not replace the file: a process that has it open would go on writing to the old one.
    Raises TryAgain if another process wrote to the store meanwhile; its change is kept.
    """
    _, copy = temporary_paths(path)
    kept = path.with_name(f"{path.name}.before-{revision}")
    version = _data_version(store)
    try:
        store.execute("VACUUM INTO ?", (str(copy),))
        put_in_place(copy, kept)
        shutil.copyfile(kept, copy)
        _upgrade(copy, path.name)
        if _data_version(store) != version:
            raise TryAgain(f"{path.name} was written to while it was migrated from schema {revision}")
        with closing(sqlite3.connect(copy)) as migrated:
            migrated.backup(store, progress=_stop_if_busy)
    finally:
        remove_database(copy)


def temporary_paths(path: Path) -> tuple[Path, Path]:
    """Where a new store is built and where a copy is migrated: beside `path`, since a rename needs one file system."""
    return path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.migrating")


def remove_database(path: Path) -> None:
    """Remove the file and the files that SQLite keeps beside it, where they exist."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


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


def _upgrade(path: Path, name: str) -> None:
    """Run `mlflow db upgrade` on `path`. Raises PiecewiseError with MLflow's reason; `name` is the store it is for."""
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", database_address(path.absolute())]
    done = subprocess.run(
        command, env=os.environ | PRIVATE, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if re.match(r"[\w.]+Error: ", line)]
        reason = errors[-1] if errors else f"exit code {done.returncode}"
        raise PiecewiseError(f"MLflow could not migrate {name}: {reason}; the store is as it was")


def _data_version(store: sqlite3.Connection) -> int:
    """A number that changes with every transaction of another connection."""
    (version,) = store.execute("PRAGMA data_version").fetchone()
    return int(version)


def _stop_if_busy(status: int, remaining: int, total: int) -> None:
    """Raises TryAgain once SQLite has waited for its busy timeout. Python itself would try for ever."""
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise TryAgain(BUSY)
