"""Runs that nobody ended: their process was killed, or the power failed. They are ended here, as KILLED."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.durable import has_writer, last_record, read_records
from piecewise.errors import PiecewiseError
from piecewise.journal.folder import RunFolder, all_runs
from piecewise.journal.process import is_gone
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.journal.writer import Journal
from piecewise.tracking.ended import Fate, end_running
from piecewise.tracking.found import RUN_ID
from piecewise.tracking.points import milliseconds
from piecewise.tracking.states import HEARTBEAT, end_abandoned, is_abandoned, running, state_of_sweep

if TYPE_CHECKING:
    from piecewise.tracking.mirror import Mirror

REASON = "its process is gone"


def end_here(root: Path) -> None:
    """In the journals and in the embedded store: quick enough for every command to do it first."""
    end_journals(root)
    known = functools.cache(lambda: _by_id(root))  # which most commands need not ask for
    end_running(root, lambda tags: _fate(known(), tags))


def end_journals(root: Path) -> list[RunFolder]:
    """Write the end that a killed run could not write. Children come before their parent, which counts them."""
    ended = []
    for folder in reversed(all_runs(root)):
        try:
            if _end_of(folder.journal) is not None or has_writer(folder.journal):
                continue
            record = read_journal(folder.journal, with_metrics=False)
            if record is not None and record.end is None and is_orphan(record):
                with Journal(folder.journal) as journal:
                    journal.end("KILLED", reason=REASON)
                ended.append(folder)
        except (ValueError, PiecewiseError, OSError):  # damaged, read-only, or somebody goes on with it just now
            continue
    return ended


def end_runs(mirror: Mirror, root: Path) -> int:
    """Bring what the store still calls running to its true state; how many there were whose process is gone."""
    known: dict[str, tuple[RunFolder, RunRecord]] = {}
    for folder in all_runs(root):
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


def is_orphan(record: RunRecord) -> bool:
    """Judged by the process that trained last. Journals from before processes were recorded cannot tell."""
    process = (record.resumed or [record.start])[-1].get("process")
    return process is not None and is_gone(process)


def _by_id(root: Path) -> dict[str, tuple[RunFolder, dict[str, Any]]]:
    """Each run that is here, with the first record of its journal."""
    found = {}
    for folder in all_runs(root):
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
    end = _end_of(folder.journal)
    if end is None:
        return None
    status = str(end["status"])
    if "num_jobs" in start:
        ends = [_end_of(path) for path in folder.children]
        status = state_of_sweep([None if child is None else child["status"] for child in ends], int(start["num_jobs"]))
    return status, milliseconds(end)


def _end_of(path: Path) -> dict[str, Any] | None:
    record = last_record(path)
    return record if record is not None and record["kind"] == "end" else None
