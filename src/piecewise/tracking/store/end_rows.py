"""Runs that the embedded store calls running although they are over, ended without MLflow, which is slow to load."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from piecewise.project import Project
from piecewise.tracking.store.filesystem import network_kind
from piecewise.tracking.tags import RUN_ID

if TYPE_CHECKING:
    import sqlite3

PATIENCE = 1.0  # seconds to wait for whoever writes: what is not done now, the next command does
RUNNING = """
SELECT run_uuid FROM runs WHERE status = 'RUNNING' AND lifecycle_stage = 'active'
AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = ?)
"""
END = "UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ? AND status = 'RUNNING'"
Fate = tuple[str, int]  # a status, and when in milliseconds


def end_running(project: Project, fate_of: Callable[[dict[str, str]], Fate | None]) -> int:
    """Ask `fate_of`, by its tags, about each of our runs that is called running; how many were ended."""
    path = project.store.resolve()
    # SQLite opens one that is read-only, too, and leaves a log beside it that stays so.
    if not os.access(path, os.W_OK) or network_kind(path) is not None:
        return 0
    import sqlite3

    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", timeout=PATIENCE, uri=True)) as store, store:
            return sum(_end(store, run, fate_of) for (run,) in store.execute(RUNNING, (RUN_ID,)).fetchall())
    except sqlite3.Error:  # busy, read-only, corrupt: who needs the store is told
        return 0


def _end(store: sqlite3.Connection, run: str, fate_of: Callable[[dict[str, str]], Fate | None]) -> int:
    fate = fate_of(dict(store.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,))))
    return 0 if fate is None else store.execute(END, (*fate, run)).rowcount
