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
from piecewise.journal.process import failed_members

REQUEST = "PIECEWISE_REQUEST"  # in the environment: what a parent asks of the process of a rank
POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0  # between two looks at the other ranks
GRACE_SECONDS = 5  # that the others have to end after one has failed


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
    """The exit status, once there is one; the first signal that comes is handed on.

    A rank that failed takes the others with it, unless they are frozen, and then this does. Raises TryAgain.
    """
    is_told, failed_since, next_look = False, None, 0.0
    while (status := process.poll()) is None:
        number = stopping.asked()
        if number is not None and not is_told:
            process.send_signal(number)
            is_told = True
        now = time.monotonic()
        if now >= next_look:
            next_look = now + LOOK_SECONDS
            failed_since = (failed_since or now) if failed_members(process.pid) else None
        if failed_since is not None and now > failed_since + GRACE_SECONDS:
            raise TryAgain(f"a rank failed, and the others did not end within {GRACE_SECONDS} seconds")
        time.sleep(POLL_SECONDS)
    return status
