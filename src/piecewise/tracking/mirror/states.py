"""The state of a run in the store: running, ended, or abandoned by its process."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from piecewise.journal.reader import RunRecord
from piecewise.processes import Process, is_gone
from piecewise.tracking.mirror.facts import log_tags, process_text
from piecewise.tracking.mirror.job_states import state_of_sweep
from piecewise.tracking.mirror.live_runs import HEARTBEAT_SECONDS, LiveRun
from piecewise.tracking.mirror.points import milliseconds
from piecewise.tracking.tags import HEARTBEAT, PROCESS

if TYPE_CHECKING:
    from mlflow import MlflowClient

STALE_SECONDS = 600.0  # a run of another machine counts as abandoned after so long without a heartbeat
COUNTED = ("finished", "failed", "killed")  # statuses of a sweep's jobs


def log_heartbeat(client: MlflowClient, live: LiveRun, record: RunRecord) -> None:
    """Log that the run goes on, and in which process."""
    client.update_run(live.run_id, "RUNNING")  # the store may show it as stopped before, or as abandoned
    tags = {PROCESS: process_text(record.process), HEARTBEAT: str(int(time.time()))}
    log_tags(client, live.run_id, tags | (_counts(live.jobs.update()) if record.start.is_sweep else {}))
    live.next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS


def log_end(client: MlflowClient, record: RunRecord, live: LiveRun) -> None:
    """Set the final state of a run whose journal has ended; a sweep's state follows from its jobs."""
    if record.end is None:
        return
    status = record.end.status
    if record.start.num_jobs is not None:
        statuses = live.jobs.update(is_over=True)
        status = state_of_sweep(statuses, record.start.num_jobs)
        log_tags(client, live.run_id, _counts(statuses))
    client.set_terminated(live.run_id, status, milliseconds(record.end.time))


def _counts(statuses: list[str | None]) -> dict[str, str]:
    """The number of a sweep's jobs of each status, as tags."""
    return {f"sweep.{name}": str(statuses.count(name.upper())) for name in COUNTED}


def is_abandoned(tags: dict[str, str]) -> bool:
    """Whether no process trains a run with these tags: by its process on this machine, by its heartbeat elsewhere."""
    content = json.loads(tags.get(PROCESS, "{}"))
    process = Process.parse(content) if content else None
    if process is not None and process.host == os.uname().nodename:
        return is_gone(process)
    return time.time() - float(tags.get(HEARTBEAT, "inf")) > STALE_SECONDS
