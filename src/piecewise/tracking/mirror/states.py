"""The state of a run in the store: running, ended, or abandoned by its process."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from piecewise.journal.reader import RunRecord, read_end, read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.processes import Process, is_gone
from piecewise.tracking.mirror.facts import log_tags, process_text
from piecewise.tracking.mirror.live_runs import JobEnds, LiveRun
from piecewise.tracking.mirror.points import milliseconds
from piecewise.tracking.tags import HEARTBEAT, PROCESS

if TYPE_CHECKING:
    from mlflow import MlflowClient

HEARTBEAT_SECONDS = 30.0
STALE_SECONDS = 600.0  # a run of another machine counts as abandoned after so long without a heartbeat
COUNTED = ("finished", "failed", "killed")  # statuses of a sweep's jobs


def log_heartbeat(client: MlflowClient, live: LiveRun, folder: RunFolder) -> None:
    """Log, at most every HEARTBEAT_SECONDS, that the run goes on, and in which process."""
    record = read_journal(folder.journal, with_metrics=False) if time.monotonic() >= live.next_heartbeat else None
    if record is None:
        return
    client.update_run(live.run_id, "RUNNING")  # the store may show it as stopped before, or as abandoned
    log_tags(client, live.run_id, {PROCESS: process_text(record.process), HEARTBEAT: str(int(time.time()))})
    if record.start.is_sweep:
        _log_counts(client, folder, live)
    live.next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS


def log_end(client: MlflowClient, record: RunRecord, folder: RunFolder, live: LiveRun) -> None:
    """Set the final state of a run whose journal has ended; a sweep's state follows from its jobs."""
    if record.end is None:
        return
    status = record.end.status
    if record.start.num_jobs is not None:
        status = state_of_sweep(_log_counts(client, folder, live), record.start.num_jobs)
    client.set_terminated(live.run_id, status, milliseconds(record.end.time))


def _log_counts(client: MlflowClient, folder: RunFolder, live: LiveRun) -> list[str | None]:
    """Tag a sweep with the number of its jobs of each status; returns the statuses."""
    statuses = statuses_of_jobs(folder, live.job_ends)
    log_tags(client, live.run_id, {f"sweep.{name}": str(statuses.count(name.upper())) for name in COUNTED})
    return statuses


def statuses_of_jobs(sweep: RunFolder, seen: JobEnds | None = None) -> list[str | None]:
    """The status of each job of a sweep; None for a job without an end.

    A journal only grows. Those whose size is in `seen` are not read again; the others are added to it.
    """
    seen = {} if seen is None else seen
    paths = sweep.children
    for path in paths:
        size = path.stat().st_size
        if path not in seen or seen[path][0] != size:
            end = read_end(path)
            seen[path] = size, None if end is None else end.status
    return [seen[path][1] for path in paths]


def state_of_sweep(statuses: list[str | None], planned: int) -> str:
    """The state of a sweep that is over, from the statuses of its jobs."""
    if "FAILED" in statuses:
        return "FAILED"
    is_whole = len(statuses) >= planned and all(status == "FINISHED" for status in statuses)
    return "FINISHED" if is_whole else "KILLED"


def is_abandoned(tags: dict[str, str]) -> bool:
    """Whether no process trains a run with these tags: by its process on this machine, by its heartbeat elsewhere."""
    content = json.loads(tags.get(PROCESS, "{}"))
    process = Process.parse(content) if content else None
    if process is not None and process.host == os.uname().nodename:
        return is_gone(process)
    return time.time() - float(tags.get(HEARTBEAT, "inf")) > STALE_SECONDS
