"""Ending orphaned runs, whose process was killed or lost its power, as KILLED."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from piecewise.journal.reader import RunRecord, read_end, read_journal, read_start
from piecewise.journal.records import Start
from piecewise.journal.run_folder import RunFolder, all_runs
from piecewise.journal.writer import end_journals
from piecewise.project import Project
from piecewise.tracking.mirror.points import milliseconds
from piecewise.tracking.mirror.states import end_abandoned, is_abandoned, running, state_of_sweep
from piecewise.tracking.store.end_rows import End, end_running
from piecewise.tracking.tags import HEARTBEAT, RUN_ID

if TYPE_CHECKING:
    from piecewise.tracking.mirror.mirror import Mirror


def end_here(project: Project) -> None:
    """End orphaned runs in the journals and in the embedded store. It is fast, so every command does it first."""
    end_journals(project)
    runs = functools.cache(lambda: _runs_by_id(project))  # read only if the store has a running run
    end_running(project, lambda tags: _end_from_tags(runs(), tags))


def end_runs(mirror: Mirror, project: Project) -> int:
    """End runs that the store still calls running and whose process is gone; returns how many."""
    records: dict[str, tuple[RunFolder, RunRecord]] = {}
    for folder in all_runs(project):
        try:
            record = read_journal(folder.journal, with_metrics=False)
        except ValueError:
            continue
        if record is not None:
            records[record.start.id] = (folder, record)
    count = 0
    for run in running(mirror.client):
        local = records.get(run.data.tags[RUN_ID])
        if local is not None and local[1].end is not None:
            mirror.push(local[0])
            count += 1
        elif local is None and is_abandoned(run.data.tags):
            end_abandoned(mirror.client, run)
            count += 1
    return count


def _runs_by_id(project: Project) -> dict[str, tuple[RunFolder, Start]]:
    """Each run in this project, with the first record of its journal."""
    found = {}
    for folder in all_runs(project):
        try:
            start = read_start(folder.journal)
        except (ValueError, OSError):  # damaged, or removed meanwhile
            continue
        if start is not None:
            found[start.id] = (folder, start)
    return found


def _end_from_tags(runs: dict[str, tuple[RunFolder, Start]], tags: dict[str, str]) -> End | None:
    """How the run with these tags ended: by its journal if that is here, else by its heartbeat; None if it goes on."""
    if tags[RUN_ID] in runs:
        return _end_from_journal(*runs[tags[RUN_ID]])
    return ("KILLED", int(float(tags.get(HEARTBEAT, 0)) * 1000)) if is_abandoned(tags) else None


def _end_from_journal(folder: RunFolder, start: Start) -> End | None:
    end = read_end(folder.journal)
    if end is None:
        return None
    status = end.status
    if start.num_jobs is not None:
        ends = [read_end(path) for path in folder.children]
        status = state_of_sweep([None if child is None else child.status for child in ends], start.num_jobs)
    return status, milliseconds(end.time)
