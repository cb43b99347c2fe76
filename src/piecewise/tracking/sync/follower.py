"""The process that brings runs to MLflow while they train."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from piecewise import terminal
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.tracking.sync.background import TOLD
from piecewise.tracking.sync.backoff import Backoff
from piecewise.tracking.sync.reachability import check_answers
from piecewise.tracking.sync.stopwatch import Stopwatch, Timed
from piecewise.tracking.sync.sync_runs import push_all

if TYPE_CHECKING:
    from piecewise.tracking.mirror.live_runs import Followed
    from piecewise.tracking.mirror.mirror import Mirror

INTERVAL = 1.0  # seconds between two looks at a live journal
FLUSH_SECONDS = 10.0  # that a store may keep us waiting in all, once the command is over; `sync` brings the rest
REST = 30.0  # seconds before a run that could not be brought over, and no fault of the store's, is tried again
SPARE = 0.5  # of a processor, that training leaves
PATIENCE = 90.0  # seconds; what a new store costs a training on two busy processors, five, is then little
# How much nicer than its training. Where no processor is spare, a store is opened in a quarter of a minute, and then
# followed with a hundredth of one.
OPENING, FOLLOWING = 5, 19


class Follower:
    """Mirrors live journals until its parent closes its end, then once more, completely.

    `begun` are the bytes that each run's journal had before the command: one that goes on has measured before.
    """

    def __init__(self, uri: str, begun: dict[RunFolder, int]) -> None:
        self.uri = uri
        self.begun = begun
        self.live = self.folders = list(begun)
        self.over = threading.Event()
        self.has_told = False
        self._rests = dict.fromkeys(begun, 0.0)
        self._watch = Stopwatch()
        self._mirror: Any = None
        self._known: Followed = {}  # what was sent, to be sent by no later mirror again
        self._backoff = Backoff(INTERVAL)

    def follow(self) -> int:
        """The exit code: TOLD if something is missing."""
        live = threading.Thread(target=self._follow_live)
        live.start()
        self.over.wait()  # also should the thread have failed
        live.join()
        done = push_all(self.uri, self.folders, opens=self._open)
        for problem in done.problems:
            self._tell(problem, "piecewise sync brings the rest")
        return TOLD if done.problems else 0

    def _follow_live(self) -> None:
        """In a thread of its own, at a low priority: training has the processors first.

        What is left at the end has somebody waiting for it, and is done at the usual priority where threads have each
        their own, on Linux.
        """
        _put_behind(OPENING)
        self._wait_for_turn()
        while not self.over.wait(self._backoff.seconds):
            self._look()

    def _wait_for_turn(self) -> None:
        """Until there is something to bring over, and a processor to spare, which a training need not ever leave.

        MLflow is imported and the store opened only then: nothing competes with the start of training, and a short one
        that keeps all processors busy loses nothing to what takes seconds of one.
        """
        while not any(_has_measured(*item) for item in self.begun.items()):
            if self.over.wait(INTERVAL):
                return
        due = time.monotonic() + PATIENCE
        _spare()  # from here on
        while not self.over.wait(INTERVAL):
            if _spare() >= SPARE or time.monotonic() >= due:
                return

    def wait_for_end(self, parent: IO[str]) -> None:
        """Then give the store its time, and leave it if it takes more."""
        parent.read()
        self.over.set()
        began = self._watch.seconds()
        while self._watch.seconds() - began < FLUSH_SECONDS:
            time.sleep(0.1)
        self._tell(f"{self.uri}: it takes longer than {FLUSH_SECONDS:.0f} s", "piecewise sync brings the rest")
        os._exit(TOLD)

    def _tell(self, what: str, outlook: str) -> None:
        """One warning is enough, whatever else goes wrong."""
        if not self.has_told:
            terminal.warn(f"not in MLflow: {what}; {outlook}")
        self.has_told = True

    def _open(self) -> Mirror:
        from piecewise.tracking.mirror.mirror import Mirror
        from piecewise.tracking.store.mlflow_settings import quiet
        from piecewise.tracking.store.open import open_store

        project = Project.find()
        quiet()  # MLflow's import keeps us waiting too, but not for the store
        with self._watch.running():
            client = open_store(self.uri, project)
        timed: Any = Timed(client, self._watch)
        return Mirror(timed, project, live=self._known)

    def _look(self) -> None:
        from piecewise.tracking.store.errors import explain, is_temporary

        try:
            if self._mirror is None:
                with self._watch.running():
                    check_answers(self.uri)
                self._mirror = self._open()
                _put_behind(FOLLOWING)
            self.live = [folder for folder in self.live if not self._push(folder)]
            self._backoff.succeeded()
        except Exception as error:
            self._backoff.failed()
            if not (is_temporary(error) and self.uri.startswith("sqlite:")):  # who writes to it will be done soon
                outlook = "training goes on, and piecewise sync brings everything later"
                self._tell(f"{self.uri}: {explain(error)}", outlook)

    def _push(self, folder: RunFolder) -> bool:
        """Whether nothing more can come of the run. What is wrong with it alone keeps no other one back."""
        from piecewise.tracking.store.errors import explain, store_problem

        if time.monotonic() < self._rests[folder]:
            return False
        try:
            return bool(self._mirror.push_live(folder))
        except Exception as error:
            if store_problem(error) is not None:
                raise
            self._tell(f"{folder.journal}: {explain(error)}", "piecewise sync brings the rest")
            self._rests[folder] = time.monotonic() + REST
            return False


def _put_behind(nicer: int) -> None:
    """So much nicer than this process was started: this thread alone on Linux, elsewhere the process."""
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, os.getpid()) + nicer))


def _spare() -> float:
    """How many of the processors that this process may use had nothing to do since the last call."""
    import psutil

    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    busy: list[float] = psutil.cpu_percent(percpu=True)
    return sum(1 - each / 100 for number, each in enumerate(busy) if usable is None or number in usable)


def _has_measured(folder: RunFolder, before: int) -> bool:
    """Since its journal had `before` bytes."""
    try:
        with folder.journal.open("rb") as file:
            file.seek(before)
            return any(b'"kind":"metrics"' in line for line in file)
    except OSError:  # it has not begun
        return False


def _first_lines(file: IO[str]) -> Iterator[str]:
    """Up to an empty one, or the end."""
    while line := file.readline().rstrip("\n"):
        yield line


def main(uri: str) -> int:
    """Told by the first lines of its input which runs, and how long their journals were; by its end that it is over."""
    lines = [line.split(" ", 1) for line in _first_lines(sys.stdin)]
    follower = Follower(uri, {RunFolder.from_text(text): int(size) for size, text in lines})
    threading.Thread(target=follower.wait_for_end, args=(sys.stdin,), daemon=True).start()
    return follower.follow()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
