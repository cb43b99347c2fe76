"""Whether an interrupted run may go on: it must be the same experiment still."""

from __future__ import annotations

from typing import Any

from piecewise import terminal
from piecewise.errors import BadInput

WORDS = {"source": "the source that trains", "lock": "the environment's lock"}


def unchanged(start: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs from when the run began, of the things that may: its source and its lock; a warning names them.

    Raises BadInput if the job or its data have changed: the rest of the training would be of another experiment.
    """
    if start["job_digest"] != now["job_digest"]:
        raise BadInput(f"the job has changed: its digest is {now['job_digest']}, the run has {start['job_digest']}")
    before, after = start["digests"], now["digests"]
    if before["data"] != after["data"]:
        raise BadInput(f"the data has changed: its digest is {after['data']}, the run has {before['data']}")
    changed = [part for part in WORDS if before[part] != after[part]]
    for part in changed:
        terminal.warn(f"{WORDS[part]} has changed since the run began: its weights may be other ones")
    return changed
