"""Which runs are over although their store says that they run: their process is gone, or was not heard of for long."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from piecewise.processes import is_gone
from piecewise.tracking.mirror.lookup import all_runs_of, is_deleted
from piecewise.tracking.tags import HEARTBEAT, PROCESS, RUN_ID

if TYPE_CHECKING:
    from mlflow import MlflowClient

BEAT_SECONDS = 30.0
STALE_SECONDS = 600.0  # without a heartbeat, after which a run of another machine has no process any more
COUNTED = ("finished", "failed", "killed")  # of a sweep's jobs


def running(client: MlflowClient) -> Iterator[Any]:
    """Our runs that the store calls running."""
    for run in all_runs_of(client, "attributes.status = 'RUNNING'"):
        if RUN_ID in run.data.tags and not is_deleted(run):
            yield run


def is_abandoned(tags: dict[str, str]) -> bool:
    """Whether nobody trains a run with these tags: on this machine by its process, on others by its heartbeat."""
    process = json.loads(tags.get(PROCESS, "{}"))
    if process.get("host") == os.uname().nodename:
        return is_gone(process)
    return time.time() - float(tags.get(HEARTBEAT, "inf")) > STALE_SECONDS


def end_abandoned(client: MlflowClient, run: Any) -> None:
    """KILLED, when it was last heard of."""
    heard = run.data.tags.get(HEARTBEAT)
    client.set_terminated(run.info.run_id, "KILLED", int(float(heard) * 1000) if heard else None)


def state_of_sweep(statuses: list[str | None], planned: int) -> str:
    """What a sweep that is over has come to, by the ends of its jobs; None is the end of one that has none."""
    if "FAILED" in statuses:
        return "FAILED"
    is_whole = len(statuses) >= planned and all(status == "FINISHED" for status in statuses)
    return "FINISHED" if is_whole else "KILLED"


def counts(statuses: list[str | None]) -> dict[str, str]:
    """A sweep's tags: how many of its jobs came to which end."""
    return {f"sweep.{name}": str(statuses.count(name.upper())) for name in COUNTED}
