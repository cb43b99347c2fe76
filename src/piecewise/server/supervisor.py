"""Keeps services running: restarts each one that ends, after a delay that doubles with every early failure."""

import signal
import subprocess
import time
from collections.abc import Callable

from piecewise import terminal
from piecewise.errors import PiecewiseError
from piecewise.server.service import Service, signal_group, start

FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0  # seconds before a restart
STABLE_SECONDS = 5.0  # a service that ends sooner has failed early
POLL_SECONDS = 0.1
READY_TIMEOUT = 180.0  # seconds for a service to become ready
MAX_ATTEMPTS = 8  # to start a service that has never been ready
STOP_TIMEOUT = 20.0  # seconds for a service to end after its stop signal


class SupervisedService:
    """A service, its process and its failures."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.process: subprocess.Popen[bytes] | None = None
        self.failures = 0  # since it last ran for STABLE_SECONDS
        self.changed_at = -float("inf")  # when it was last started, or found to have ended

    def update(self) -> bool:
        """Start the service if it has ended and its delay is over. Returns whether a new process was started."""
        now = time.monotonic()
        if self.process is None:
            if now < self.changed_at + self.delay:
                return False
            self.process, self.changed_at = start(self.service), now
            return True
        if self.process.poll() is not None:
            signal_group(self.process.pid, signal.SIGKILL)  # workers that outlive their leader would keep its port
            terminal.warn(f"{self.service.name} ended with {self.process.returncode}, and is started again")
            self.process, self.changed_at, self.failures = None, now, self.failures + 1
        elif now > self.changed_at + STABLE_SECONDS:
            self.failures = 0
        return False

    @property
    def delay(self) -> float:
        return min(LONGEST_DELAY, FIRST_DELAY * 2 ** (self.failures - 1)) if self.failures else 0.0

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(self.service.stop_signal)  # nothing is sent to a process that has ended
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            terminal.warn(f"{self.service.name} did not end within {STOP_TIMEOUT:.0f} s, and is killed")
        signal_group(self.process.pid, signal.SIGKILL)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            signal_group(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Supervisor:
    """Starts services in order and keeps them running. Calls `on_change(pids)` after each start."""

    def __init__(self, on_change: Callable[[list[int]], None]) -> None:
        self.services: list[SupervisedService] = []
        self.on_change = on_change

    def add(self, service: Service) -> None:
        """Start `service` and wait until it is ready. Raises PiecewiseError if it does not become ready."""
        added = SupervisedService(service)
        self.services.append(added)
        deadline = time.monotonic() + READY_TIMEOUT
        self.update()
        while not (added.process is not None and service.is_ready()):
            if added.failures >= MAX_ATTEMPTS or time.monotonic() > deadline:
                raise PiecewiseError(f"{service.name} is not ready; its log is {service.log}")
            time.sleep(POLL_SECONDS)
            self.update()

    def update(self) -> None:
        """Restart what has ended."""
        is_started = [service.update() for service in self.services]
        if any(is_started):
            self.on_change(self.pids())

    def pids(self) -> list[int]:
        """The running processes. Each leads a process group."""
        return [service.process.pid for service in self.services if service.process is not None]

    def run(self) -> None:
        """Restart what ends, until a signal raises Stopped."""
        while True:
            self.update()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop the services, the last one first, because each needs those before it. A signal kills the rest."""
        try:
            for service in reversed(self.services):
                service.stop()
        finally:
            for service in self.services:
                service.kill()
