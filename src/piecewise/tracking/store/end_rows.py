"""Ending runs in the embedded store with SQL alone, because MLflow takes seconds to load."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing

from piecewise.project import Project
from piecewise.tracking.store.filesystem import network_kind

BUSY_SECONDS = 1.0  # how long to wait for another writer; the next command tries again
End = tuple[str, int]  # a status, and a time in milliseconds since 1970


def end_running(project: Project, end_of: Callable[[dict[str, str]], End | None]) -> int:
    """End each of our running runs for which `end_of`, given its tags, returns an end; returns how many were ended."""
    path = project.store.resolve()
    # SQLite also opens a read-only file, and would leave a read-only log beside it.
    if not os.access(path, os.W_OK) or network_kind(path) is not None:
        return 0
    import sqlite3

    from piecewise.tracking.store.mlflow_internals import end_run, running_runs

    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", timeout=BUSY_SECONDS, uri=True)) as store, store:
            ends = [(run_id, end_of(tags)) for run_id, tags in running_runs(store)]
            return sum(end_run(store, run_id, *end) for run_id, end in ends if end is not None)
    except sqlite3.Error:  # busy, read-only or corrupt: a command that needs the store reports it
        return 0
