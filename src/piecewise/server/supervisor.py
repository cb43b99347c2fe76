"""Keeping services alive: each that ends is started again, later and later if it does not last."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

from piecewise import terminal
from piecewise.errors import PiecewiseError
from piecewise.server.service import Service, end_group, start

FIRST, LONGEST = 0.2, 10.0  # seconds to wait before a service is started again
STEADY = 5.0  # seconds after which it has lasted
LOOK = 0.1  # seconds between two looks
PATIENCE = 180.0  # seconds until a service must be ready
ATTEMPTS = 8  # to start one that has never been ready
GRACE = 20.0  # seconds to stop in order


class Kept:
    """A service and its process."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.process: subprocess.Popen[bytes] | None = None
        self.failures = 0  # since it last lasted
        self.changed = -float("inf")  # when it was last started, or found to have ended

    def tend(self) -> bool:
        """Start it if it has ended and its time has come; True if a new process runs now."""
        now = time.monotonic()
        if self.process is None:
            if now < self.changed + self.delay:
                return False
            self.process, self.changed = start(self.service), now
            return True
        if self.process.poll() is not None:
            end_group(self.process, signal.SIGKILL)  # workers that outlive their master would hold its port
            terminal.warn(f"{self.service.name} ended with {self.process.returncode}, and is started again")
            self.process, self.changed, self.failures = None, now, self.failures + 1
        elif now > self.changed + STEADY:
            self.failures = 0
        return False

    @property
    def delay(self) -> float:
        return min(LONGEST, FIRST * 2 ** (self.failures - 1)) if self.failures else 0.0


class Supervisor:
    """Starts services one after the other. `note` is told whenever the processes are others than before."""

    def __init__(self, note: Callable[[list[int]], None]) -> None:
        self.kept: list[Kept] = []
        self.note = note

    def add(self, service: Service) -> None:
        """Start it and wait until it is ready. Raises PiecewiseError if it will not be."""
        kept = Kept(service)
        self.kept.append(kept)
        deadline = time.monotonic() + PATIENCE
        self.tend()
        while not (kept.process is not None and service.is_ready()):
            if kept.failures >= ATTEMPTS or time.monotonic() > deadline:
                raise PiecewiseError(f"{service.name} is not ready; what it said is in {service.log}")
            time.sleep(LOOK)
            self.tend()

    def tend(self) -> None:
        is_changed = [kept.tend() for kept in self.kept]
        if True in is_changed:
            self.note(self.members())

    def members(self) -> list[int]:
        """The processes that run, each the leader of a group."""
        return [kept.process.pid for kept in self.kept if kept.process is not None]

    def keep(self) -> None:
        """For ever: a signal ends it."""
        while True:
            self.tend()
            time.sleep(LOOK)

    def stop(self) -> None:
        """The last one first: each may need those before it. A signal meanwhile stops the rest at once."""
        try:
            for kept in reversed(self.kept):
                _end(kept)
        finally:
            for kept in self.kept:
                if kept.process is not None and kept.process.poll() is None:
                    end_group(kept.process, signal.SIGKILL)
                    kept.process.wait()


def _end(kept: Kept) -> None:
    if kept.process is None:
        return
    if kept.process.poll() is None:
        kept.process.send_signal(kept.service.stop_signal)
        try:
            kept.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            terminal.warn(f"{kept.service.name} did not end within {GRACE:.0f} s, and is killed")
    end_group(kept.process, signal.SIGKILL)
