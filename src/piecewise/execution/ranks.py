"""Start rank 0 of a job, which starts the other ranks (processes), tell them what to do, and report how they ended.

While a job trains, every rank but rank 0 has a small file beside the run's journal. It holds the rank's process id and,
if the rank fails, its error.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from piecewise import stopping
from piecewise.durable import write_atomic
from piecewise.errors import PiecewiseError, TryAgain
from piecewise.journal.run_folder import RunFolder
from piecewise.processes import Process, members

REQUEST = "PIECEWISE_REQUEST"  # environment variable that passes the Request, as text, to the ranks
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")  # all are 0 or unset on rank 0
POLL_SECONDS = 0.1  # between two looks at rank 0
CHECK_SECONDS = 1.0  # between two looks at the other ranks
# A killed rank's connections close before the kernel lists it as ended. Wait this long for that; below GRACE_SECONDS.
DYING_SECONDS = 2.0
GRACE_SECONDS = 5  # how long the others may take to end after one has failed
# The exit code of a rank that a signal stopped → the signal.
STOPPED_CODES = {128 + number: number for number in stopping.SIGNALS}


@dataclass(frozen=True)
class Request:
    """What the ranks are told besides their job."""

    folder: RunFolder
    facts: dict[str, Any]  # for the journal's first record
    parent: Process | None = None  # the process that waits for the ranks: without it they end
    is_resumed: bool = False  # go on from the newest checkpoint in the folder
    digests: dict[str, str] | None = None  # of the source and the lock, if they are known

    def as_text(self) -> str:
        return json.dumps({**asdict(self), "folder": self.folder.as_text()})

    @classmethod
    def from_text(cls, text: str) -> Request:
        content = json.loads(text)
        parent = Process.parse(content["parent"]) if content["parent"] is not None else None
        return cls(**content | {"folder": RunFolder.from_text(content["folder"]), "parent": parent})


def is_first_rank() -> bool:
    """Whether this process is rank 0, the only one that writes the journal."""
    return not any(int(os.environ.get(name, "0")) for name in RANK_VARIABLES)


def run_ranks(folder: RunFolder, request: str) -> None:
    """Run `python -m piecewise.worker`, which is rank 0, and wait until it ends.

    Raises Stopped if a signal stopped this process or a rank; PiecewiseError with rank 0's exit code if it ended with
    one, which is that of TryAgain if it lost another rank; and TryAgain if rank 0 was killed or did not end in time.
    """
    command = [sys.executable, "-m", "piecewise.worker", str(folder.job)]
    with stopping.poll_signals():  # before the process starts: a signal must not end us and leave it running
        # The ranks have their own process group, so that Ctrl-C reaches them once, through this process. They stay in
        # our session, because Linux divides CPU time between sessions first, and niceness counts only within one.
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
        failure = PiecewiseError(f"training failed with exit code {status}; the messages of its ranks are above")
        failure.exit_code = status
        raise failure


def _wait(process: subprocess.Popen[bytes], folder: RunFolder) -> int:
    """Wait for rank 0 and return its exit status; pass the first signal on to it.

    If a rank fails, the others usually fail too. Raises TryAgain if rank 0 is frozen or runs GRACE_SECONDS longer.
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
            states = members(process.pid)
            has_failed = any(isinstance(code, int) and code not in (0, *STOPPED_CODES) for code in states.values())
            failed_since = (failed_since or now) if has_failed else None
            grace = 0 if states.get(process.pid) == "T" else GRACE_SECONDS
            if failed_since is not None and now >= failed_since + grace:
                raise TryAgain(f"{fate_of_others(folder, process.pid)}; the other ranks are ended")
        time.sleep(POLL_SECONDS)
    return status


@contextmanager
def reporting_errors(folder: RunFolder) -> Iterator[None]:
    """Around the training of a rank other than 0: keep its process id, and any error, in a file for rank 0."""
    number = os.environ.get("RANK") or os.environ.get("LOCAL_RANK", "0")
    path = folder.journal.parent / f".rank-{number}.{folder.journal.stem}.json"
    write_atomic(path, json.dumps({"pid": os.getpid()}).encode())
    try:
        yield
    except Exception as error:
        write_atomic(path, json.dumps({"pid": os.getpid(), "error": f"{type(error).__name__}: {error}"}).encode())
        raise
    path.unlink(missing_ok=True)


def fate_of_others(folder: RunFolder, group: int) -> str:
    """A sentence that names the ranks that failed, were killed or are frozen. `group` is rank 0's process id."""
    deadline = time.monotonic() + DYING_SECONDS
    while not (found := _fates(folder, group)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return "; ".join(found) or "a rank was lost"


def _fates(folder: RunFolder, group: int) -> list[str]:
    states = members(group)
    found = ["rank 0 is frozen"] if states.get(group) == "T" else []
    for path in sorted(_rank_files(folder)):
        report, rank = json.loads(path.read_text("utf-8")), path.name.partition(".rank-")[2].partition(".")[0]
        state = states.get(report["pid"])
        # A rank that raised TryAgain only noticed that another failed.
        if "error" in report and not report["error"].startswith("TryAgain"):
            found.append(f"rank {rank}: {report['error']}")
        elif isinstance(state, int) and state < 0:
            found.append(f"rank {rank} was ended by {signal.Signals(-state).name}")
        elif state == "T":
            found.append(f"rank {rank} is frozen")
    return found


def _rank_files(folder: RunFolder) -> list[Path]:
    return list(folder.journal.parent.glob(f".rank-*.{folder.journal.stem}.json"))
