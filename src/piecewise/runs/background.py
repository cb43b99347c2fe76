"""Bringing runs to MLflow while they train: a process of its own, that training neither waits for nor dies of."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from piecewise import terminal
from piecewise.jobs.provenance import find_root
from piecewise.journal.folder import RunFolder
from piecewise.runs.record import push_all
from piecewise.tracking.backoff import Backoff
from piecewise.tracking.timed import Timed

if TYPE_CHECKING:
    from piecewise.tracking.mirror import Mirror

INTERVAL = 1.0  # seconds between two looks at a live journal
FLUSH_SECONDS = 10.0  # that a store may take in all, once the command is over; `sync` brings the rest
STOP_SECONDS = 5  # that a command waits which was told to stop
EXPORT_SECONDS = 60  # and one that was not: besides the store's time there is the model's export
TOLD = 1  # exit code: not everything is there, and the person knows


class BackgroundMirror:
    """A process that mirrors the journals of running jobs. Training neither imports MLflow nor waits for it.

    Closing its standard input tells it that the runs are complete; so does the death of whoever started it.
    """

    def __init__(self, uri: str | None, folders: Iterable[RunFolder]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if uri is not None:
            texts = [folder.as_text() for folder in folders]
            # The folders of a large sweep are more than a command line can hold.
            command = [sys.executable, "-m", "piecewise.runs.background", uri]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            # A group of its own keeps a terminal's Ctrl-C away. A session of its own would too, but Linux shares the
            # processor between sessions first, so that within it no priority could be low enough.
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, process_group=0)
            self._say("\n".join([*texts, "", ""]))

    def close(self, at_once: bool = False) -> bool:
        """Let it finish; False if it did not manage to in time, or failed, of which the person has been told."""
        if self._process is None:
            return True
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            status = self._process.wait(STOP_SECONDS if at_once else EXPORT_SECONDS)
        except BrokenPipeError:  # it is gone
            status = self._process.wait()
        except subprocess.TimeoutExpired:
            # Two processes must not bring the same run over: what is left is left to the next one.
            self._process.kill()
            status = self._process.wait()
        if status not in (0, TOLD):
            terminal.warn("MLflow does not have everything yet; piecewise sync brings the rest")
        return status == 0

    def _say(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended already, which `close` finds
            pass


class Follower:
    """Mirrors live journals until its parent closes its end, then once more, completely."""

    def __init__(self, uri: str, folders: list[RunFolder]) -> None:
        self.uri = uri
        self.live = self.folders = folders
        self.over = threading.Event()
        self.has_told = False
        self._client: Timed | None = None
        self._mirror: Any = None
        self._backoff = Backoff(INTERVAL)

    def follow(self) -> int:
        """The exit code: TOLD if something is missing."""
        live = threading.Thread(target=self._follow_live)
        live.start()
        live.join()
        done = push_all(self.uri, self.folders, opens=self._open)
        for problem in done.problems:
            self._tell(problem, "piecewise sync brings the rest")
        return TOLD if done.problems else 0

    def _follow_live(self) -> None:
        """In a thread of its own, which runs when nobody else wants to: training has the processor first.

        What is left at the end has somebody waiting for it, and is done at the usual priority.
        """
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # of this thread alone
        # MLflow is imported after the first measurement, so that nothing competes with the start of training.
        while not self.over.wait(INTERVAL) and not any(_has_measured(folder) for folder in self.folders):
            pass
        while not self.over.wait(self._backoff.seconds):
            self._look()

    def wait_for_end(self, parent: IO[str]) -> None:
        """Then give the store its time, and leave it if it takes more."""
        parent.read()
        self.over.set()
        began = self._seconds()
        while self._seconds() - began < FLUSH_SECONDS:
            time.sleep(0.1)
        self._tell(f"{self.uri}: it takes longer than {FLUSH_SECONDS:.0f} s", "piecewise sync brings the rest")
        os._exit(TOLD)

    def _tell(self, what: str, outlook: str) -> None:
        """One warning is enough, whatever else goes wrong."""
        if not self.has_told:
            terminal.warn(f"not in MLflow: {what}; {outlook}")
        self.has_told = True

    def _seconds(self) -> float:
        return self._client.seconds() if self._client is not None else 0.0

    def _open(self) -> Mirror:
        from piecewise.tracking.mirror import Mirror
        from piecewise.tracking.store import open_store

        root = find_root()
        client: Any = Timed(open_store(self.uri, root), self._seconds())
        self._client = client
        return Mirror(client, root)

    def _look(self) -> None:
        from piecewise.tracking.trouble import explain, is_busy

        try:
            self._mirror = self._mirror or self._open()
            self.live = [folder for folder in self.live if not self._mirror.push_live(folder)]
            self._backoff.succeeded()
        except Exception as error:
            self._backoff.failed()
            if not (is_busy(error) and self.uri.startswith("sqlite:")):  # who writes to it will be done soon
                outlook = "training goes on, and piecewise sync brings everything later"
                self._tell(f"{self.uri}: {explain(error)}", outlook)


def _has_measured(folder: RunFolder) -> bool:
    return folder.journal.is_file() and b'"kind":"metrics"' in folder.journal.read_bytes()


def _first_lines(file: IO[str]) -> Iterator[str]:
    """Up to an empty one, or the end."""
    while line := file.readline().rstrip("\n"):
        yield line


def main(uri: str) -> int:
    """Told which runs by the first lines of its input, and that they are over by its end."""
    follower = Follower(uri, [RunFolder.from_text(line) for line in _first_lines(sys.stdin)])
    threading.Thread(target=follower.wait_for_end, args=(sys.stdin,), daemon=True).start()
    return follower.follow()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
