"""Start the ranks of a job in a process group of their own, forward signals to them, and say how they ended.

While it trains, each rank but the first keeps a file in the run's folder: its process, and the error it ended with.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from piecewise import stopping
from piecewise.durable import write_atomic
from piecewise.errors import PiecewiseError, TryAgain
from piecewise.journal.run_folder import RunFolder
from piecewise.processes import members

REQUEST = "PIECEWISE_REQUEST"  # environment variable: a parent's Request to the process of a rank
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")  # all are 0 or unset on the first rank
POLL_SECONDS = 0.1
CHECK_SECONDS = 1.0  # between two checks of the other ranks
GRACE_SECONDS = 5  # for the other ranks to end after one has failed
STOPPED_CODES = {128 + number: number for number in stopping.SIGNALS}  # exit codes of a rank that a signal stopped


def is_first_rank() -> bool:
    """Whether this process is rank 0 of the first node: the one that records."""
    return not any(int(os.environ.get(name, "0")) for name in RANK_VARIABLES)


def run_ranks(folder: RunFolder, request: str) -> None:
    """Run `python -m piecewise.worker` to its end.

    Raises Stopped if a signal stopped this process or a rank, PiecewiseError with their exit code if the ranks failed,
    and TryAgain if a rank was lost.
    """
    command = [sys.executable, "-m", "piecewise.worker", str(folder.job)]
    with stopping.poll_signals():  # opened first: a signal must not leave the new process behind
        # In a process group of their own, so that a terminal's Ctrl-C reaches the ranks once, through this process. In
        # the same session, because Linux shares the processor between sessions before it looks at priorities.
        process = subprocess.Popen(command, env={**os.environ, REQUEST: request}, process_group=0)
        try:
            status = _wait(process, folder)
        finally:
            with contextlib.suppress(ProcessLookupError):  # rank 0 may have ended while others still run
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for path in _rank_files(folder):
                path.unlink()
    if status in STOPPED_CODES:
        raise stopping.Stopped(STOPPED_CODES[status])
    if status < 0:
        raise TryAgain(f"rank 0 was ended by {signal.Signals(-status).name}")
    if status != 0:
        failure = PiecewiseError(f"the ranks ended with exit code {status}; their messages stand above")
        failure.exit_code = status
        raise failure


def _wait(process: subprocess.Popen[bytes], folder: RunFolder) -> int:
    """The exit status of rank 0. The first signal that this process gets is forwarded to it.

    A rank that fails makes the others fail too, unless they are frozen. Raises TryAgain then.
    """
    is_forwarded, failed_since, next_check = False, None, 0.0
    while (status := process.poll()) is None:
        number = stopping.requested_stop()
        if number is not None and not is_forwarded:
            process.send_signal(number)
            is_forwarded = True
        now = time.monotonic()
        if now >= next_check:
            next_check = now + CHECK_SECONDS
            exit_codes = [code for code in members(process.pid).values() if isinstance(code, int)]
            has_failed = any(code not in (0, *STOPPED_CODES) for code in exit_codes)
            failed_since = (failed_since or now) if has_failed else None
        if failed_since is not None and now > failed_since + GRACE_SECONDS:
            fate = fate_of_others(folder, process.pid)
            raise TryAgain(f"{fate}, and the others did not end within {GRACE_SECONDS} seconds")
        time.sleep(POLL_SECONDS)
    return status


@contextmanager
def reporting_errors(folder: RunFolder) -> Iterator[None]:
    """Around the training of a rank without a journal: a file names its process, and the error it ends with."""
    number = os.environ.get("RANK") or os.environ.get("LOCAL_RANK", "0")
    path = folder.journal.parent / f".rank-{number}.{folder.journal.stem}.json"
    write_atomic(path, json.dumps({"pid": os.getpid()}).encode())
    try:
        yield
    except Exception as error:
        write_atomic(path, json.dumps({"pid": os.getpid(), "error": f"{type(error).__name__}: {error}"}).encode())
        raise
    path.unlink(missing_ok=True)


def fate_of_others(folder: RunFolder, group: int | None = None) -> str:
    """Which ranks failed, were killed or are frozen, as far as can be told. Rank 0 leads their process group."""
    group = os.getpgrp() if group is None else group
    states = members(group)
    found = ["rank 0 is frozen"] if states.get(group) == "T" else []
    for path in sorted(_rank_files(folder)):
        report, rank = json.loads(path.read_text()), path.name.partition(".rank-")[2].partition(".")[0]
        state = states.get(report["pid"])
        if "error" in report and not report["error"].startswith("TryAgain"):  # TryAgain blames another rank
            found.append(f"rank {rank}: {report['error']}")
        elif isinstance(state, int) and state < 0:
            found.append(f"rank {rank} was ended by {signal.Signals(-state).name}")
        elif state == "T":
            found.append(f"rank {rank} is frozen")
    return "; ".join(found) or "a rank was lost"


def _rank_files(folder: RunFolder) -> list[Path]:
    return list(folder.journal.parent.glob(f".rank-*.{folder.journal.stem}.json"))
