"""Runs that nobody ended: their process was killed, or the power failed. They are ended here, as KILLED."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from piecewise.durable import read_records
from piecewise.journal.orphans import end_journals, end_of
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.journal.run_folder import RunFolder, all_runs
from piecewise.project import Project
from piecewise.tracking.mirror.points import milliseconds
from piecewise.tracking.mirror.states import end_abandoned, is_abandoned, running, state_of_sweep
from piecewise.tracking.store.end_rows import Fate, end_running
from piecewise.tracking.tags import HEARTBEAT, RUN_ID

if TYPE_CHECKING:
    from piecewise.tracking.mirror.mirror import Mirror


def end_here(project: Project) -> None:
    """In the journals and in the embedded store: quick enough for every command to do it first."""
    end_journals(project)
    known = functools.cache(lambda: _by_id(project))  # which most commands need not ask for
    end_running(project, lambda tags: _fate(known(), tags))


def end_runs(mirror: Mirror, project: Project) -> int:
    """Bring what the store still calls running to its true state; how many there were whose process is gone."""
    known: dict[str, tuple[RunFolder, RunRecord]] = {}
    for folder in all_runs(project):
        try:
            record = read_journal(folder.journal, with_metrics=False)
        except ValueError:
            continue
        if record is not None:
            known[record.start["id"]] = (folder, record)
    count = 0
    for run in running(mirror.client):
        here = known.get(run.data.tags[RUN_ID])
        if here is not None and here[1].end is not None:
            mirror.push(here[0])
            count += 1
        elif here is None and is_abandoned(run.data.tags):
            end_abandoned(mirror.client, run)
            count += 1
    return count


def _by_id(project: Project) -> dict[str, tuple[RunFolder, dict[str, Any]]]:
    """Each run that is here, with the first record of its journal."""
    found = {}
    for folder in all_runs(project):
        try:
            start = next(read_records(folder.journal), None)
        except (ValueError, OSError):  # damaged, or gone meanwhile
            continue
        if start is not None:
            found[str(start.get("id"))] = (folder, start)
    return found


def _fate(known: dict[str, tuple[RunFolder, dict[str, Any]]], tags: dict[str, str]) -> Fate | None:
    """How a run that the embedded store calls running has ended, by its journal if it is here; None if it goes on."""
    if tags[RUN_ID] in known:
        return _told(*known[tags[RUN_ID]])
    return ("KILLED", int(float(tags.get(HEARTBEAT, 0)) * 1000)) if is_abandoned(tags) else None


def _told(folder: RunFolder, start: dict[str, Any]) -> Fate | None:
    end = end_of(folder.journal)
    if end is None:
        return None
    status = str(end["status"])
    if "num_jobs" in start:
        ends = [end_of(path) for path in folder.children]
        status = state_of_sweep([None if child is None else child["status"] for child in ends], int(start["num_jobs"]))
    return status, milliseconds(end)
