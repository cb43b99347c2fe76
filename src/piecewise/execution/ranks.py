"""Starting the ranks of a job in a process group of their own, handing signals on, and saying what became of them.

Each rank but the first leaves a file in the run's folder while it trains: its process, and the error it ended with.
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

REQUEST = "PIECEWISE_REQUEST"  # in the environment: what a parent asks of the process of a rank
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")  # of which the first rank has none above 0
POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0  # between two looks at the other ranks
GRACE_SECONDS = 5  # that the others have to end after one has failed
STOPS = {128 + number: number for number in stopping.SIGNALS}  # exit codes of a rank that was told to stop


def is_first_rank() -> bool:
    """Whether this process is the one that records, on the first of all nodes."""
    return not any(int(os.environ.get(name, "0")) for name in RANKS)


def run_ranks(folder: RunFolder, request: str) -> None:
    """Run `python -m piecewise.worker` to its end.

    Raises Stopped after a signal, whoever got it, PiecewiseError with their exit code if the ranks failed, and TryAgain
    if they were lost.
    """
    command = [sys.executable, "-m", "piecewise.worker", str(folder.job)]
    with stopping.in_order():  # from before there is a process that a signal would leave behind
        # A group of their own, so that a terminal's Ctrl-C reaches them once, through us, and not twice; but of our
        # session, in which the mirror gives way to them.
        process = subprocess.Popen(command, env={**os.environ, REQUEST: request}, process_group=0)
        try:
            status = _wait(process, folder)
        finally:
            with contextlib.suppress(ProcessLookupError):  # also when the first rank has ended: the others may live on
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for path in _files(folder):
                path.unlink()
    if status in STOPS:
        raise stopping.Stopped(STOPS[status])
    if status < 0:
        raise TryAgain(f"rank 0 was ended by {signal.Signals(-status).name}")
    if status != 0:
        failure = PiecewiseError(f"the ranks ended with exit code {status}; what they said stands above")
        failure.exit_code = status
        raise failure


def _wait(process: subprocess.Popen[bytes], folder: RunFolder) -> int:
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
            ended = [code for code in members(process.pid).values() if isinstance(code, int)]
            has_failed = any(code not in (0, *STOPS) for code in ended)
            failed_since = (failed_since or now) if has_failed else None
        if failed_since is not None and now > failed_since + GRACE_SECONDS:
            fate = fate_of_others(folder, process.pid)
            raise TryAgain(f"{fate}, and the others did not end within {GRACE_SECONDS} seconds")
        time.sleep(POLL_SECONDS)
    return status


@contextmanager
def telling_why(folder: RunFolder) -> Iterator[None]:
    """Around what a rank that has no journal does: leave word of its process, and of the error it ends with."""
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
    """What became of the ranks that are not well, as far as can be told. The first leads their process group."""
    group = os.getpgrp() if group is None else group
    now = members(group)
    found = ["rank 0 is frozen"] if now.get(group) == "T" else []
    for path in sorted(_files(folder)):
        word, rank = json.loads(path.read_text()), path.name.partition(".rank-")[2].partition(".")[0]
        state = now.get(word["pid"])
        if "error" in word and not word["error"].startswith("TryAgain"):
            found.append(f"rank {rank}: {word['error']}")
        elif isinstance(state, int) and state < 0:
            found.append(f"rank {rank} was ended by {signal.Signals(-state).name}")
        elif state == "T":
            found.append(f"rank {rank} is frozen")
    return "; ".join(found) or "a rank was lost"


def _files(folder: RunFolder) -> list[Path]:
    return list(folder.journal.parent.glob(f".rank-*.{folder.journal.stem}.json"))
