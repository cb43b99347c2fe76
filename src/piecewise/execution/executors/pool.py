"""The executor `pool`: several packs at the same time, in a process for each slot.

The fork server has imported everything once; a new process takes a hundredth of a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import connection
from typing import Literal

from piecewise import stopping
from piecewise.errors import BadInput, TryAgain
from piecewise.execution.executors.contract import Executor, Listener
from piecewise.execution.executors.inline import Inline
from piecewise.execution.executors.running import Running, SlotProcess
from piecewise.execution.executors.server import CONTEXT, start_server
from piecewise.execution.executors.slots import Slot, make_slots, take, visible_gpus
from piecewise.execution.pack import Pack
from piecewise.jobs.trainer import accelerator

POLL_SECONDS = 0.2  # between two looks at signals and at jobs that may hang, or two tries to start a process
TRIES = 25  # to start a process, five seconds in all


def _start_process(slots: Sequence[Slot]) -> SlotProcess:
    """A new process of the fork server, or of another one if the server is killed meanwhile. Raises TryAgain."""
    for _ in range(TRIES):
        try:
            return SlotProcess(slots, CONTEXT)
        except (EOFError, OSError) as error:
            cause = error
            time.sleep(POLL_SECONDS)  # a process that is killed closes its connections before it counts as ended
    raise TryAgain(f"executor=pool: its server of processes starts none: {cause!r}") from cause


class Pool:
    """Runs packs in a process for each slot; on GPUs in a new process for each pack.

    Whatever happens to a process costs its present job; then the slot has another process.
    """

    def __init__(self, slots: int | Literal["auto"] = "auto", gpu_fraction: float = 1.0, timeout: float = 1800) -> None:
        """`timeout` is in seconds: a job whose journal has not grown for so long counts as hanging, and is ended.

        Raises BadInput for a value out of range.
        """
        for is_right, key, value, allowed in (
            (slots == "auto" or 1 <= slots <= 1000, "slots", slots, "auto, or a number from 1 to 1000"),
            (0 < gpu_fraction <= 1, "gpu_fraction", gpu_fraction, "above 0 and at most 1"),
            (timeout > 0, "timeout", timeout, "a number of seconds above 0"),
        ):
            if not is_right:
                raise BadInput(f"executor.{key}={value!r} must be {allowed}")
        self.count = None if slots == "auto" else slots
        self.gpu_fraction = gpu_fraction
        self.timeout = timeout

    def run(self, packs: Iterable[Pack], listener: Listener) -> None:
        start_server()
        work = _Work(self, iter(packs), listener)
        with stopping.poll_signals():
            try:
                while work.goes_on():
                    connection.wait([source for item in work.running for source in item.waits_on], POLL_SECONDS)
            finally:
                for item in work.running:
                    item.kill()
                for process in work.idle:
                    process.close()

    def slots_for(self, pack: Pack) -> list[Slot]:
        """The slots of a sweep whose first pack this is: its jobs are on GPUs if this one is."""
        has_gpus = accelerator(pack.job.config.trainer.options) in ("cuda", "gpu")
        return make_slots(self.count, visible_gpus() if has_gpus else [], self.gpu_fraction)


class Auto(Pool):
    """A pool for several jobs; a job alone runs in the process of the command."""

    def for_count(self, count: int) -> Executor:
        """The executor for so many jobs."""
        return self if count > 1 else Inline()


class _Work:
    """The packs of one call: those that wait, and those that run."""

    def __init__(self, pool: Pool, packs: Iterator[Pack], listener: Listener) -> None:
        self.pool = pool
        self.packs = packs
        self.listener = listener
        self.running: list[Running] = []
        self.idle: list[SlotProcess] = []  # between two packs
        self._slots: list[Slot] = []
        self._next: Pack | None = None  # it waits for slots
        self._told: int | None = None  # the signal that was passed on

    def goes_on(self) -> bool:
        """Note what has ended, and start what can start. False once nothing runs and nothing waits."""
        number = stopping.requested_stop()
        for item in list(self.running):
            if number is not None and self._told is None:
                item.stop(number)
            item.end_if_hanging(self.pool.timeout)
            outcome = item.outcome()
            if outcome is not None:
                self.running.remove(item)
                self._release(item.own)
                self.listener.ended(item.pack, outcome)
        self._told = number
        if number is None:
            while self._start_next():
                pass
        return bool(self.running)

    def _start_next(self) -> bool:
        """Start the next pack, if there is one and it finds slots."""
        taken = {slot for item in self.running for slot in item.own.slots}
        free = [slot for slot in self._slots if slot not in taken]
        if self._slots and not free:
            return False
        pack = self._next = self._next or next(self.packs, None)
        if pack is None:
            return False
        if not self._slots:
            self._slots = free = self.pool.slots_for(pack)
        chosen = take(free, self._slots, pack.job.config.trainer)
        if chosen is None:
            return False
        self._next = None
        item = Running(pack, self._process(chosen))
        self.running.append(item)
        self.listener.started(pack, item.own.identity)
        return True

    def _process(self, slots: Sequence[Slot]) -> SlotProcess:
        """The process of these slots. Those that share some with it end."""
        for process in [one for one in self.idle if not {*one.slots}.isdisjoint(slots)]:
            self.idle.remove(process)
            if process.slots == tuple(slots) and process.may_go_on:
                return process
            process.close()
        return _start_process(slots)

    def _release(self, process: SlotProcess) -> None:
        if process.connection.closed:  # its pack did not finish
            return
        if process.may_go_on:
            self.idle.append(process)
        else:
            process.close()
