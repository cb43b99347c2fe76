"""Starting the ranks of a job in a process group of their own, and passing signals on to them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from piecewise import stopping
from piecewise.errors import PiecewiseError, TryAgain

REQUEST = "PIECEWISE_REQUEST"  # in the environment: what a parent asks of the process of a rank
POLL_SECONDS = 0.1


def run_ranks(job_file: Path, request: str) -> None:
    """Run `python -m piecewise.worker` to its end.

    Raises Stopped after a signal, which the ranks have been told, PiecewiseError with their exit code if they failed,
    and TryAgain if they were lost.
    """
    command = [sys.executable, "-m", "piecewise.worker", str(job_file)]
    # A group of their own, so that a terminal's Ctrl-C reaches them once, through us, and not twice.
    process = subprocess.Popen(command, env={**os.environ, REQUEST: request}, start_new_session=True)
    try:
        with stopping.in_order():
            status = _wait(process)
    finally:
        with contextlib.suppress(ProcessLookupError):  # also when the first rank has ended: the others may live on
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if status < 0:
        raise TryAgain(f"the ranks were lost: signal {signal.Signals(-status).name}")
    if status != 0:
        failure = PiecewiseError(f"the ranks ended with exit code {status}; what they said stands above")
        failure.exit_code = status
        raise failure


def _wait(process: subprocess.Popen[bytes]) -> int:
    """The exit status, once there is one; the first signal that comes is handed on."""
    is_told = False
    while (status := process.poll()) is None:
        number = stopping.asked()
        if number is not None and not is_told:
            process.send_signal(number)
            is_told = True
        time.sleep(POLL_SECONDS)
    return status
