"""Migrating a store of an older MLflow to the schema of the installed one."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from piecewise.durable import put_in_place
from piecewise.errors import PiecewiseError, TryAgain
from piecewise.tracking.store.errors import BUSY
from piecewise.tracking.store.mlflow_settings import PRIVATE


def migrate(path: Path, store: sqlite3.Connection, revision: str) -> None:
    """Keep the store as `mlflow.db.before-<revision>`, migrate a copy, and write the copy back in one transaction.

    MLflow migrates in many transactions, and a kill between two of them would leave a store that cannot be opened.
    The copy does not replace the file: a process that has it open would go on writing to the old one.
    Raises TryAgain if another process wrote to the store meanwhile; its change is kept.
    """
    copy = copy_path(path)
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


def copy_path(path: Path) -> Path:
    """The copy that is migrated, beside the store at `path`."""
    return path.with_name(f".{path.name}.migrating")


def remove_database(path: Path) -> None:
    """Remove the file and the files that SQLite keeps beside it, where they exist."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _upgrade(path: Path, name: str) -> None:
    """Run `mlflow db upgrade` on `path`. Raises PiecewiseError with MLflow's reason; `name` is the store it is for."""
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{path.absolute()}"]
    done = subprocess.run(command, env=os.environ | PRIVATE, capture_output=True, text=True, check=False)
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
