"""Ending in order when whoever waits for this process is gone. Imports nothing that takes long."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from piecewise import stopping
from piecewise.processes import is_gone, starter

LOOK_SECONDS = 0.25  # between two looks
GRACE_SECONDS = 30  # for a process that was told to stop itself, as by a signal to a whole group


def end_with_dvc() -> None:
    """In a stage of `dvc repro`: end when DVC has ended, even if that was before this process could look."""
    if "DVC_STAGE" in os.environ:  # and not started by hand
        end_with(starter("dvc"))


def end_with(process: dict[str, Any] | None) -> None:
    """Be terminated, as by a person, once `process` is gone, or at once if it is None: nobody would see the rest."""

    def watch() -> None:
        while process is not None and not is_gone(process):
            time.sleep(LOOK_SECONDS)
        if stopping.is_ending():  # a second signal would end it at once, without the checkpoint that it writes
            time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
