"""Starting the process that sends runs to MLflow while they train. Training neither imports MLflow nor waits for it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable

from piecewise import terminal
from piecewise.journal.run_folder import RunFolder

INTERRUPTED_SECONDS = 5  # how long an interrupted command waits for the process
EXPORT_SECONDS = 60  # how long another command waits: for the store, and for the model's export
INCOMPLETE = 1  # exit code: something is missing in MLflow, and the user was told


class BackgroundMirror:
    """A process that mirrors the journals of running jobs until its standard input ends.

    The input ends when `close` is called, or when the process that trains dies.
    """

    def __init__(self, uri: str | None, folders: Iterable[RunFolder]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if uri is not None:
            sizes = {folder: folder.journal.stat().st_size if folder.journal.is_file() else 0 for folder in folders}
            command = [sys.executable, "-m", "piecewise.tracking.sync.follower", uri]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            # A process group of its own, so that a terminal's Ctrl-C does not reach it. Not a session of its own:
            # Linux shares the processors between sessions first, and niceness counts only within a session.
            try:
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, process_group=0)
            except OSError as error:  # too many processes, or too little memory
                terminal.warn(f"not in MLflow: no process can be started ({error.strerror}); piecewise sync brings all")
            else:
                # Not as arguments: a large sweep's folders do not fit on a command line.
                lines = "".join(f"{size} {folder.as_text()}\n" for folder, size in sizes.items())
                assert self._process.stdin is not None
                with contextlib.suppress(BrokenPipeError):  # the process has ended, which `close` finds
                    self._process.stdin.write(f"{lines}\n".encode())
                    self._process.stdin.flush()

    def close(self, at_once: bool = False) -> None:
        """Wait until the process has sent everything. Warns if it failed or took too long."""
        if self._process is None:
            return
        try:
            self._process.communicate(timeout=INTERRUPTED_SECONDS if at_once else EXPORT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()  # or it could mirror a run at the same time as the next command
            self._process.wait()
        if self._process.returncode not in (0, INCOMPLETE):
            terminal.warn("MLflow does not have everything yet; piecewise sync brings the rest")
