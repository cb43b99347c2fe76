"""The process that sends runs to MLflow while they train."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, NoReturn

from piecewise import terminal
from piecewise.journal.run_folder import RunFolder
from piecewise.tracking.store.addresses import is_database
from piecewise.tracking.store.errors import explain, is_temporary, store_problem
from piecewise.tracking.sync.arrivals import Arrivals, has_measured
from piecewise.tracking.sync.background import INCOMPLETE
from piecewise.tracking.sync.priority import idle_cores, lower_priority
from piecewise.tracking.sync.sync_runs import SyncResult, open_mirror, push_all
from piecewise.tracking.sync.waiting import Backoff, Waiting, check_answers

if TYPE_CHECKING:
    from piecewise.tracking.mirror.live_runs import Followed
    from piecewise.tracking.mirror.mirror import Mirror

POLL_SECONDS = 1.0  # between two reads of a live journal
SILENT_SECONDS = 10.0  # how long the store may keep the end of a command waiting for one answer
IDLE_SECONDS = 60.0  # how long this process may neither call the store nor compute, for example export a model
RETRY_SECONDS = 30.0  # until a run that could not be sent, through no fault of the store, is tried again
IDLE_CORES = 0.5  # enough to open the store without slowing down training
LONGEST_WAIT_SECONDS = 90.0  # for idle cores; opening a store costs a training on two busy cores about 5 s
# Added to the niceness of the training. On a full CPU, opening takes 15 s, and following then uses 1 % of a core.
OPENING_NICENESS, FOLLOWING_NICENESS = 5, 19
# Of a sweep, which may keep all cores busy for hours, the runs should be in the store soon after the last has ended.
SWEEP_NICENESS = 5


class Follower:
    """Mirrors live journals until standard input ends, and then mirrors them once more, completely.

    `sizes` holds the bytes that each journal had before the command: a resumed run has measured before.
    """

    def __init__(self, uri: str, sizes: dict[RunFolder, int]) -> None:
        self.uri = uri
        self.sizes = sizes
        self.is_sweep = len(sizes) > 1
        self.live: list[RunFolder] = []  # the runs that have begun, and are not sent whole
        self.is_over = threading.Event()
        self.has_warned = False
        self._arrivals = Arrivals(sizes)
        self._next_try: dict[RunFolder, float] = {}
        self._waiting = Waiting()
        self._begun = list(sizes)  # what the last push has to look at
        self._result = SyncResult()  # of the last push
        self._mirror: Any = None
        self._followed: Followed = {}  # the points already sent, also after the store is opened again
        self._backoff = Backoff(POLL_SECONDS)

    def follow(self) -> int:
        """Mirror the runs. Returns the exit code: 0 or INCOMPLETE."""
        thread = threading.Thread(target=self._follow_live)
        thread.start()
        self.is_over.wait()  # the thread may fail before the training is over
        thread.join()
        self._begun = [folder for folder in self.sizes if folder.journal.is_file()]
        result = push_all(self.uri, self._begun, self._open, self._result)
        for problem in result.problems:
            self._warn(problem)
        return INCOMPLETE if result.problems else 0

    def wait_for_end(self, parent: IO[str]) -> None:
        """Wait until `parent` ends, then end this process once the store no longer answers.

        As long as it answers, the parent is told every second how many runs are left.
        """
        parent.read()
        self._waiting.restart()
        self.is_over.set()
        reason = _wait_for_silence(self._waiting, self._tell)
        self._warn(f"{self.uri}: {reason}")
        os._exit(INCOMPLETE)

    def _tell(self) -> None:
        os.write(1, b"%d\n" % (len(self._begun) - self._result.num_done))

    def _follow_live(self) -> None:
        """Runs in a thread of its own: on Linux, niceness belongs to a thread, and the last push has the usual one."""
        lower_priority(OPENING_NICENESS)
        self._wait_for_idle_core()
        while not self.is_over.wait(self._backoff.seconds):
            self._update()

    def _wait_for_idle_core(self) -> None:
        """Wait for a first metric, then for IDLE_CORES or LONGEST_WAIT_SECONDS; of a sweep, for the metric alone.

        Only then are MLflow imported and the store opened: they slow down neither the start of a training nor a short
        training that keeps all cores busy.
        """
        while not any(has_measured(folder, self.sizes[folder]) for folder in self._look()):
            if self.is_over.wait(POLL_SECONDS):
                return
        if self.is_sweep:
            return
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        idle_cores()  # measured from now on
        while not self.is_over.wait(POLL_SECONDS):
            if idle_cores() >= IDLE_CORES or time.monotonic() >= deadline:
                return

    def _update(self) -> None:
        try:
            if self._mirror is None:
                with self._waiting.call():
                    check_answers(self.uri)
                self._mirror = self._open()
                lower_priority(SWEEP_NICENESS if self.is_sweep else FOLLOWING_NICENESS)
            # Once the training is over, the last push sends the rest.
            self.live = [folder for folder in self._look() if self.is_over.is_set() or not self._push_live(folder)]
            self._backoff.failures = 0
        except Exception as error:
            self._backoff.failures += 1
            if not (is_temporary(error) and is_database(self.uri)):  # another writer will soon be done
                outlook = "training goes on, and piecewise sync brings everything later"
                self._warn(f"{self.uri}: {explain(error)}", outlook)

    def _look(self) -> list[RunFolder]:
        self.live += self._arrivals.look()
        return self.live

    def _push_live(self, folder: RunFolder) -> bool:
        """Whether the run is complete. A problem of this run alone does not stop the other runs."""
        if time.monotonic() < self._next_try.get(folder, 0.0):
            return False
        try:
            return bool(self._mirror.push_live(folder))
        except Exception as error:
            if store_problem(error) is not None:
                raise
            self._warn(f"{folder.journal}: {explain(error)}")
            self._next_try[folder] = time.monotonic() + RETRY_SECONDS
            return False

    def _open(self) -> Mirror:
        return open_mirror(self.uri, followed=self._followed, waiting=self._waiting)

    def _warn(self, problem: str, outlook: str = "piecewise sync brings the rest") -> None:
        """Print the first problem only."""
        if not self.has_warned:
            terminal.warn(f"not in MLflow: {problem}; {outlook}")
        self.has_warned = True


def _wait_for_silence(waiting: Waiting, tell: Callable[[], None]) -> str:
    """Call `tell` every second until the store has not answered for too long, or nothing happens. Returns which.

    If nobody listens any more, because the process that trained was killed, ten seconds are all there is.
    """
    last_sign, since, next_told, deadline = (0, 0), time.monotonic(), 0.0, math.inf
    while (now := time.monotonic()) < deadline:
        if waiting.seconds > SILENT_SECONDS:
            break
        sign = waiting.num_answers, int(time.process_time())  # an answer, or a second of computing
        if sign != last_sign or waiting.is_in_call:
            last_sign, since = sign, now
        if now - since > IDLE_SECONDS:
            return f"nothing has happened for {IDLE_SECONDS:.0f} s"
        if now >= next_told and deadline == math.inf:
            next_told = now + 1.0
            try:
                tell()
            except OSError:
                deadline = now + SILENT_SECONDS
        time.sleep(0.1)
    return f"it has not answered for {SILENT_SECONDS:.0f} s"


def main(uri: str) -> int:
    """Read the runs and the sizes of their journals from standard input, and follow them until it ends."""
    # An empty line ends the list. A parent that died ends it too.
    lines = [line.split(" ", 1) for line in iter(lambda: sys.stdin.readline().rstrip("\n"), "")]
    follower = Follower(uri, {RunFolder.from_text(text): int(size) for size, text in lines})
    threading.Thread(target=follower.wait_for_end, args=(sys.stdin,), daemon=True).start()
    return follower.follow()


def leave(code: int) -> NoReturn:
    """End this process without Python's own clearing up, which takes a second of CPU time after MLflow and torch."""
    if "mlflow" in sys.modules:
        from piecewise.tracking.store.mlflow_internals import close_all_connections

        close_all_connections()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(*sys.argv[1:]))
