"""Looking at what crashes leave in a project: DVC's lock file and runs without an end."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from piecewise.health.findings import Finding, fault, note
from piecewise.journal.orphans import is_orphan
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import all_runs
from piecewise.project import Project

RWLOCK = Path(".dvc/tmp/rwlock")
SETTLE = 0.2  # seconds that DVC needs at most to write it, which it does in place


def pipeline_lock(project: Project) -> Iterator[Finding]:
    """A torn rwlock stops every `dvc repro`; one whose processes are gone stops none."""
    holders = _holders(project / RWLOCK)
    if holders is None:
        time.sleep(SETTLE)
        holders = _holders(project / RWLOCK)
    if holders is None:
        what = f"{RWLOCK} is torn: every dvc repro refuses to start until it is deleted"
        yield fault(what, f"rm {RWLOCK}, while no dvc command runs")
    elif holders and not any(map(_is_alive, holders)):
        gone = ", ".join(map(str, sorted(holders)))
        yield note(f"{RWLOCK} names processes that are gone ({gone}); DVC drops them when it meets them")


def _holders(path: Path) -> set[int] | None:
    """The processes that hold a lock; None if DVC could not read the file."""
    if not path.is_file():
        return set()
    try:
        content = json.loads(path.read_text())
        readers = [info for several in content.get("read", {}).values() for info in several]
        return {int(info["pid"]) for info in (*content.get("write", {}).values(), *readers)}
    except (ValueError, KeyError, TypeError, AttributeError):  # no JSON, or JSON of another shape
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def orphan_runs(project: Project) -> Iterator[Finding]:
    """Runs that nobody ended and nobody trains any more."""
    for folder in all_runs(project):
        path = project / folder.journal
        try:
            record = read_journal(path)
        except ValueError as error:
            yield fault(str(error), "piecewise verify")
            continue
        if record is None or record.end is not None or not is_orphan(record):
            continue
        start = record.start
        is_staged = path.is_relative_to(project.results)
        remedy = f"dvc repro train@{start['name']}" if is_staged else f"piecewise resume {shlex.quote(start['id'])}"
        yield fault(f"{start['title']} ({start['id']}) has no end, and the process that trained it is gone", remedy)
