"""Checks for what crashes leave in a project: DVC's rwlock, and runs without an end."""

import shlex
import time
from collections.abc import Iterator

import psutil

from piecewise.dvc_files import RWLOCK, rwlock_holders
from piecewise.health.findings import Finding, fault, note
from piecewise.journal.names import train_stage
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import all_runs
from piecewise.project import Project

RWLOCK_WRITE_SECONDS = 0.2  # DVC writes its rwlock in place, and needs at most this long


def pipeline_lock(project: Project) -> Iterator[Finding]:
    """A torn rwlock stops every `dvc repro`. An rwlock whose processes are gone stops none."""
    holders = rwlock_holders(project)
    if holders is None:
        time.sleep(RWLOCK_WRITE_SECONDS)
        holders = rwlock_holders(project)
    if holders is None:
        what = f"{RWLOCK} is torn; dvc repro does not start until it is deleted"
        yield fault(what, f"rm {RWLOCK}, while no dvc command runs")
    elif holders and holders.isdisjoint(psutil.pids()):
        gone = ", ".join(map(str, sorted(holders)))
        yield note(f"{RWLOCK} names processes that are gone ({gone}); DVC ignores them")


def orphan_runs(project: Project) -> Iterator[Finding]:
    """Runs without an end whose process is gone."""
    for folder in all_runs(project):
        try:
            record = read_journal(project / folder.journal)
        except ValueError as error:
            yield fault(str(error), "piecewise verify")
            continue
        if record is None or not record.is_orphan:
            continue
        start = record.start
        is_staged = (project / folder.journal).is_relative_to(project.results)
        remedy = f"dvc repro {train_stage(start.name)}" if is_staged else f"piecewise resume {shlex.quote(start.id)}"
        yield fault(f"{start.title} ({start.id}) has no end, but its process is gone", remedy)
