"""Ending in order when whoever waits for this process is gone."""

from __future__ import annotations

import os
import signal
import threading
import time

from piecewise.journal.process import is_gone, starter

LOOK_SECONDS = 0.25  # between two looks


def end_with_starter() -> None:
    """Be terminated, as by a person, once the process that started this one has ended: nobody would see the rest."""
    process = starter()

    def watch() -> None:
        while not is_gone(process):
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
