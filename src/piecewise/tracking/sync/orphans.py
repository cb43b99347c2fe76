"""Ending orphaned runs, whose process was killed or lost its power, as KILLED."""

from __future__ import annotations

import functools
import os
from contextlib import closing
from typing import TYPE_CHECKING

from piecewise.journal.find import known_runs
from piecewise.journal.reader import read_end, read_start
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import end_journals
from piecewise.project import Project
from piecewise.tracking.mirror.job_states import JobStates, state_of_sweep
from piecewise.tracking.mirror.lookup import all_runs_of, is_deleted
from piecewise.tracking.mirror.points import milliseconds
from piecewise.tracking.mirror.states import is_abandoned
from piecewise.tracking.store.filesystem import network_kind
from piecewise.tracking.tags import HEARTBEAT, RUN_ID

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from piecewise.tracking.store.runs_by_sql import End

BUSY_SECONDS = 1.0  # how long to wait for another writer; the next command tries again


def end_here(project: Project) -> None:
    """End orphaned runs in the journals and in the embedded store. It is fast, so every command does it first."""
    end_journals(project)
    path = project.store.resolve()
    # SQLite also opens a read-only file, and would leave a read-only log beside it.
    if not os.access(path, os.W_OK) or network_kind(path) is not None:
        return
    import sqlite3

    from piecewise.tracking.store.runs_by_sql import end_running

    runs = functools.cache(lambda: _folders_by_id(project))  # read only if the store has a running run
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", timeout=BUSY_SECONDS, uri=True)) as store, store:
            end_running(store, lambda tags: _end_of(tags, runs()))
    except sqlite3.Error:  # busy, read-only or corrupt: a command that needs the store reports it
        pass


def end_runs(client: MlflowClient, project: Project) -> None:
    """End orphaned runs in any store. What else such a run lacks there, `piecewise sync` sends."""
    running = list(all_runs_of(client, "attributes.status = 'RUNNING'"))  # all pages, before any run leaves them
    ours = [run for run in running if RUN_ID in run.data.tags and not is_deleted(run)]
    runs = _folders_by_id(project) if ours else {}
    for run in ours:
        end = _end_of(run.data.tags, runs)
        if end is not None:
            client.set_terminated(run.info.run_id, *end)


def _folders_by_id(project: Project) -> dict[str, RunFolder]:
    return {run.id: run.folder for run in known_runs(project, damaged=lambda _: None)}


def _end_of(tags: dict[str, str], runs: dict[str, RunFolder]) -> End | None:
    """How the run with these tags ended: by its journal if that is here, else by its heartbeat; None if it goes on."""
    if tags[RUN_ID] not in runs:
        return ("KILLED", milliseconds(float(tags.get(HEARTBEAT, 0)))) if is_abandoned(tags) else None
    folder = runs[tags[RUN_ID]]
    start, end = read_start(folder.journal), read_end(folder.journal)
    if start is None or end is None:
        return None
    status = end.status if start.num_jobs is None else state_of_sweep(JobStates(folder).update(), start.num_jobs)
    return status, milliseconds(end.time)
