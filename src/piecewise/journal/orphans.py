"""Journals of runs whose process is gone: each is ended as KILLED."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from piecewise.durable import has_writer, last_record
from piecewise.errors import PiecewiseError
from piecewise.journal.reader import RunRecord, read_journal
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
            if end_of(folder.journal) is not None or has_writer(folder.journal):
                continue
            record = read_journal(folder.journal, with_metrics=False)
            if record is not None and record.end is None and is_orphan(record):
                with Journal(folder.journal) as journal:
                    journal.end("KILLED", reason=REASON)
                ended.append(folder)
        except (ValueError, PiecewiseError, OSError):  # damaged, read-only, or somebody goes on with it just now
            continue
    return ended


def is_orphan(record: RunRecord) -> bool:
    """Judged by the process that trained last. Journals from before processes were recorded cannot tell."""
    process = (record.resumed or [record.start])[-1].get("process")
    return process is not None and is_gone(process)


def end_of(path: Path) -> dict[str, Any] | None:
    record = last_record(path)
    return record if record is not None and record["kind"] == "end" else None
