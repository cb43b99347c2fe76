"""Bringing a store that an older MLflow made to the schema of the installed one."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from piecewise.durable import put_in_place
from piecewise.errors import PiecewiseError, TryAgain
from piecewise.tracking.store.errors import BUSY
from piecewise.tracking.store.mlflow_settings import PRIVATE

PATIENCE = 60.0  # seconds to wait for whoever reads or writes


def migrate(path: Path, store: sqlite3.Connection, revision: str) -> None:
    """Keep the store as `mlflow.db.before-<revision>`, migrate a copy, and take the copy over in one transaction.

    MLflow's own migration is many transactions: a kill between two of them would leave a store that nobody can open.
    Raises TryAgain if somebody wrote meanwhile.
    """
    copy = copy_of(path)
    before = path.with_name(f"{path.name}.before-{revision}")
    seen = _data_version(store)
    try:
        with closing(sqlite3.connect(copy)) as kept:
            store.backup(kept, progress=_patience())
        put_in_place(copy, before)
        shutil.copyfile(before, copy)
        _upgrade(copy, path.name)
        if _data_version(store) != seen:
            raise TryAgain(f"somebody writes to {path.name} while it is migrated from schema {revision}")
        with closing(sqlite3.connect(copy)) as migrated:
            migrated.backup(store, progress=_patience())
    finally:
        remove_database(copy)


def copy_of(path: Path) -> Path:
    """What is migrated."""
    return path.with_name(f".{path.name}.migrating")


def remove_database(path: Path) -> None:
    """The file, if it is there, and what SQLite keeps beside it."""
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _upgrade(path: Path, name: str) -> None:
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{path.absolute()}"]
    done = subprocess.run(command, env=os.environ | PRIVATE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if re.match(r"[\w.]+Error: ", line)]
        reason = errors[-1] if errors else f"exit code {done.returncode}"
        raise PiecewiseError(f"MLflow could not migrate {name}: {reason}; the store is as it was")


def _data_version(store: sqlite3.Connection) -> int:
    """Changes with every transaction of somebody else."""
    (version,) = store.execute("PRAGMA data_version").fetchone()
    return int(version)


def _patience() -> Callable[[int, int, int], None]:
    """Python itself would ask a busy database again for ever."""
    deadline = time.monotonic() + PATIENCE

    def give_up(status: int, remaining: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            raise TryAgain(BUSY)

    return give_up
