"""Bringing runs to MLflow while they train: a process of its own, that training neither waits for nor dies of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable

from piecewise import terminal
from piecewise.journal.run_folder import RunFolder

STOP_SECONDS = 5  # that a command waits which was told to stop
EXPORT_SECONDS = 60  # and one that was not: besides the store's time there is the model's export
TOLD = 1  # exit code: not everything is there, and the person knows


class BackgroundMirror:
    """A process that mirrors the journals of running jobs. Training neither imports MLflow nor waits for it.

    Closing its standard input tells it that the runs are complete; so does the death of whoever started it.
    """

    def __init__(self, uri: str | None, folders: Iterable[RunFolder]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_lost = False
        if uri is not None:
            lines = [f"{_size(folder)} {folder.as_text()}" for folder in folders]
            # The folders of a large sweep are more than a command line can hold.
            command = [sys.executable, "-m", "piecewise.tracking.sync.follower", uri]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            # A group of its own keeps a terminal's Ctrl-C away. A session of its own would too, but Linux shares the
            # processor between sessions first, so that within it no priority could be low enough.
            try:
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, process_group=0)
            except OSError as error:  # too many processes, or too little memory
                terminal.warn(f"not in MLflow: no process can be started ({error.strerror}); piecewise sync brings all")
                self._is_lost = True
            else:
                self._say("\n".join([*lines, "", ""]))

    def close(self, at_once: bool = False) -> bool:
        """Let it finish; False if it did not manage to in time, or failed, of which the person has been told."""
        if self._process is None:
            return not self._is_lost
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


def _size(folder: RunFolder) -> int:
    return folder.journal.stat().st_size if folder.journal.is_file() else 0
