"""Ending the journals of killed runs, with status KILLED."""

from __future__ import annotations

from piecewise.durable import has_writer
from piecewise.errors import PiecewiseError
from piecewise.journal.reader import RunRecord, read_end, read_journal
from piecewise.journal.run_folder import RunFolder, all_runs
from piecewise.journal.writer import Journal
from piecewise.processes import is_gone
from piecewise.project import Project

REASON = "its process is gone"


def end_journals(project: Project) -> list[RunFolder]:
    """Write the end that a killed run could not write. Children come before their parent, which counts them."""
    ended = []
    for folder in reversed(all_runs(project)):
        try:
            if read_end(folder.journal) is not None or has_writer(folder.journal):
                continue
            record = read_journal(folder.journal, with_metrics=False)
            if record is not None and record.end is None and is_orphan(record):
                with Journal(folder.journal) as journal:
                    journal.end("KILLED", reason=REASON)
                ended.append(folder)
        except (ValueError, PiecewiseError, OSError):  # damaged, read-only, or just now opened by another process
            continue
    return ended


def is_orphan(record: RunRecord) -> bool:
    """Whether the process that trained last is gone. False for old journals, which do not record it."""
    return record.process is not None and is_gone(record.process)
