"""A pack that runs in the process of a slot: start it, watch it, and find out how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess

from piecewise.errors import PiecewiseError, TryAgain
from piecewise.execution.executors.child import main
from piecewise.execution.executors.contract import FAILED, FINISHED, KILLED, Outcome
from piecewise.execution.executors.slots import Slot
from piecewise.execution.pack import Pack
from piecewise.journal.reader import read_journal
from piecewise.journal.writer import Journal
from piecewise.locks import has_writer
from piecewise.processes import Process, is_gone, this_process

EXIT_SECONDS = 30.0  # how long a process may take to exit, and ranks to write their checkpoints
MAX_PACKS = 100  # of one process, so that what a library keeps for each does not add up
UNKNOWN = 255  # the exit code of a process whose fork server has died; the process may go on
MAY_SUCCEED = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)  # somebody ended the process: the job itself may be fine


class SlotProcess:
    """A process that runs one pack after another on the same slots."""

    def __init__(self, slots: Sequence[Slot], context: ForkServerContext) -> None:
        """Start the process. Raises EOFError or OSError if the fork server cannot."""
        self.slots = tuple(slots)
        self.num_packs = 0
        self.connection, own = context.Pipe()
        threads = sum(slot.threads for slot in slots) // len(slots)  # of each rank, if the job has several
        gpus = ",".join(slot.gpu for slot in slots if slot.gpu is not None) or None
        self.process: ForkServerProcess = context.Process(
            target=main, args=(threads, gpus, this_process().as_dict(), own)
        )
        with own:
            try:
                self.process.start()
            except (EOFError, OSError):
                self.connection.close()
                raise
        self.identity = Process.of(self.process.pid or 0)

    def start(self, pack: Pack) -> None:
        self.num_packs += 1
        pack.write()
        with contextlib.suppress(ConnectionError):  # it has just been killed, which its exit code tells
            self.connection.send_bytes(str(pack.path).encode())

    @property
    def may_go_on(self) -> bool:
        """Whether another pack may follow. A process that has used a GPU keeps memory there."""
        has_gpu = any(slot.gpu is not None for slot in self.slots)
        return not has_gpu and self.num_packs < MAX_PACKS and self.process.exitcode is None

    def close(self) -> None:
        """Tell the process that nothing follows, and wait until it has ended."""
        self.connection.close()
        self.process.join(EXIT_SECONDS)
        self.signal(signal.SIGKILL)  # it does not exit, or the fork server has died and not the process

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended: another one may have its number."""
        if not is_gone(self.identity):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.identity.pid, number)


class Running:
    """A pack and its process."""

    def __init__(self, pack: Pack, own: SlotProcess) -> None:
        self.pack = pack
        self.own = own
        self._process, self._result = own.process, own.connection
        self._size, self._since = -1, time.monotonic()
        self._hanging: str | None = None  # why it was ended as hanging
        self._told: Outcome | None = None
        own.start(pack)

    @property
    def waits_on(self) -> tuple[int | Connection, ...]:
        """What becomes ready when the process says how the pack ended, or ends. They stay ready."""
        if self._told is not None:
            return ()
        return (self._process.sentinel, self._result) if self._process.exitcode is None else (self._result,)

    def silent_seconds(self) -> float:
        """How long the run's journal has not grown. While a job trains, it grows at least every ten seconds."""
        with contextlib.suppress(FileNotFoundError):
            size = self.pack.folder.journal.stat().st_size
            if size != self._size:
                self._size, self._since = size, time.monotonic()
        return time.monotonic() - self._since

    def stop(self, number: int) -> None:
        """Ask the process to write a checkpoint and end."""
        self.own.signal(number)

    def end_if_hanging(self, timeout: float) -> None:
        """End the process if the run's journal has not grown for `timeout` seconds."""
        if self._hanging is None and self._told is None and self.silent_seconds() > timeout:
            reason = f"it recorded nothing for {timeout:g} s and was ended"
            self._hanging = f"{reason}; if it was not hanging, executor.timeout={max(60, 2 * timeout):g} waits longer"
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self.own.signal(signal.SIGKILL)

    def outcome(self) -> Outcome | None:
        """How the pack ended; None while a process works on it."""
        if self._told is None and not self._result.poll() and not self._has_ended():
            return None
        if self._told is None:
            self._told = _read(self._result) or self._fate()
            if self._told.state != FINISHED:
                self.own.close()
            self._since = time.monotonic()
        if has_writer(self.pack.folder.journal) and time.monotonic() < self._since + EXIT_SECONDS:
            return None  # ranks that the process had started write their checkpoints
        _end_journal(self.pack, self._told)
        self.pack.remove()
        return self._told

    def _has_ended(self) -> bool:
        code = self._process.exitcode
        return code is not None and (code != UNKNOWN or is_gone(self.own.identity))

    def _fate(self) -> Outcome:
        """How a process ended that has not told it."""
        self._process.join(EXIT_SECONDS)
        code = self._process.exitcode
        if self._hanging is not None:
            return Outcome(FAILED, message=self._hanging, exit_code=TryAgain.exit_code)
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            memory = "; perhaps memory was short" if -code == signal.SIGKILL else ""
            state = KILLED if -code in MAY_SUCCEED else FAILED
            return Outcome(state, message=f"its process was ended by {name}{memory}", exit_code=TryAgain.exit_code)
        return Outcome(FAILED, message=f"its process exited with code {code} before the job had ended", exit_code=1)


def _read(result: Connection) -> Outcome | None:
    """What a process that may have ended has told; another process that it started may still hold its end open."""
    try:
        return Outcome(**json.loads(result.recv_bytes())) if result.poll() else None
    except (EOFError, OSError):
        return None


def _end_journal(pack: Pack, outcome: Outcome) -> None:
    """Record the end of a run whose process ended without doing so."""
    with contextlib.suppress(PiecewiseError):  # damaged, or in use: the ledger knows the end
        record = read_journal(pack.folder.journal, with_metrics=False)
        if record is not None and record.end is None:
            with Journal(pack.folder.journal) as journal:
                journal.end(outcome.state, reason=outcome.message[:500])
