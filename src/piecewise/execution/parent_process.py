"""End this process in order when the process that waits for it has ended. Imports nothing that takes long."""

from __future__ import annotations

import os
import signal
import threading
import time

from piecewise import stopping
from piecewise.processes import Process, is_gone, starter

POLL_SECONDS = 0.25
GRACE_SECONDS = 30  # for a process that a signal, perhaps to its whole group, has already told to stop


def end_with_dvc() -> None:
    """In a stage of `dvc repro`: end when DVC ends, also if it ended before this call."""
    if "DVC_STAGE" in os.environ:  # not set when a person starts the script
        end_with(starter("dvc"))


def end_with(process: Process | None) -> None:
    """Send SIGTERM to this process once `process` is gone; None means that it is gone already."""

    def watch() -> None:
        while process is not None and not is_gone(process):
            time.sleep(POLL_SECONDS)
        if stopping.is_signalled():  # a second signal would end it at once, without its last checkpoint
            time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
