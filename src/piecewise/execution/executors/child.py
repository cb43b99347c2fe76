"""The process of a slot: it runs one pack after another and says how each ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from piecewise import process_settings, stopping
from piecewise.execution.executors.contract import FINISHED, KILLED, Outcome
from piecewise.processes import Process, end_with, is_gone

GRACE_SECONDS = 20.0  # how long a job may take to write its checkpoint after the sweep's process has died
POLL_SECONDS = 1.0


def main(threads: int, gpus: str | None, parent: Mapping[str, Any], pool: Connection) -> None:
    """Run the packs whose files `pool` names, and send the Outcome of each as JSON; end after one that did not finish.

    `parent` is the sweep's process: once it is gone, the job writes a checkpoint and ends.
    """
    os.setpgid(0, 0)  # Ctrl-C reaches this process once, through the sweep's process
    process_settings.enter()
    process_settings.be_quiet()  # the sweep's process prints the results
    stopping.be_silent()
    process_settings.limit(threads, gpus)
    _end_with(Process.parse(parent))
    with contextlib.suppress(EOFError, ConnectionError):  # nothing is left, or the sweep's process was killed
        while True:
            outcome = _run_next(pool)
            pool.send_bytes(json.dumps(outcome.as_dict()).encode())
            if outcome.state != FINISHED:
                break


def _run_next(pool: Connection) -> Outcome:
    """Wait for a pack and run it. Raises EOFError if none follows."""
    from piecewise.execution.pack import Pack
    from piecewise.execution.run_pack import attempt

    try:
        with stopping.handle_signals():
            return attempt(Pack.read(Path(pool.recv_bytes().decode())))
    except stopping.Stopped as stopped:
        return Outcome(KILLED, message=str(stopped), exit_code=128 + stopped.number)


def _end_with(parent: Process) -> None:
    """End this process some time after `parent`, also if the job no longer answers signals."""
    end_with(parent)

    def watch() -> None:
        while not is_gone(parent):
            time.sleep(POLL_SECONDS)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
