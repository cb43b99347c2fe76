"""Runs that nobody ended: their process was killed, or the power failed. They are ended here, as KILLED."""

from __future__ import annotations

from pathlib import Path

from piecewise.durable import has_writer
from piecewise.errors import PiecewiseError
from piecewise.journal.folder import RunFolder, all_runs
from piecewise.journal.process import is_gone
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.journal.writer import Journal
from piecewise.tracking.found import RUN_ID
from piecewise.tracking.mirror import Mirror
from piecewise.tracking.states import end_abandoned, is_abandoned, running

TAIL = 65536  # bytes at the end of a journal that hold its last record
REASON = "its process is gone"


def end_journals(root: Path) -> list[RunFolder]:
    """Write the end that a killed run could not write. Children come before their parent, which counts them."""
    ended = []
    for folder in reversed(all_runs(root)):
        if _has_end(folder.journal) or has_writer(folder.journal):
            continue
        try:
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


def _has_end(path: Path) -> bool:
    """Without reading all of it: there may be thousands."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return b'{"kind":"end"' in file.read().rstrip(b"\n").rpartition(b"\n")[2]
