"""Starting the process that sends runs to MLflow while they train. Training neither imports MLflow nor waits for it."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable

from piecewise import terminal
from piecewise.journal.run_folder import RunFolder

INTERRUPTED_SECONDS = 5  # how long an interrupted command waits for the process
SILENT_SECONDS = 60  # how long another command waits for a sign of life; the process has limits of its own
TOLD_SECONDS = 3, 60  # after how long the user is told what the command waits for: first, and again
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
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, process_group=0
                )
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
        """Wait until the process has sent everything: without limit as long as the store answers.

        Warns if the process failed, or stopped because the store did not answer. A signal ends the waiting.
        """
        if self._process is None:
            return
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._wait(self._process, at_once)
        finally:
            self._process.kill()  # or it could mirror a run at the same time as the next command
            self._process.wait()
            if self._process.returncode not in (0, INCOMPLETE):
                terminal.warn("MLflow does not have everything yet; piecewise sync brings the rest")

    def _wait(self, process: subprocess.Popen[bytes], at_once: bool) -> None:
        """Raises TimeoutExpired if the process says nothing for too long."""
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        begun = time.monotonic()
        deadline, next_told = begun + (INTERRUPTED_SECONDS if at_once else SILENT_SECONDS), begun + TOLD_SECONDS[0]
        with process.stdout as output:
            while select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
                said = os.read(output.fileno(), 4096)  # each second the number of runs that are left
                if not said:
                    break
                now = time.monotonic()
                if not at_once:
                    deadline = now + SILENT_SECONDS
                    if now >= next_told:
                        next_told = now + TOLD_SECONDS[1]
                        left = said.split()[-1].decode(errors="replace")
                        terminal.say(f"runs left to send to MLflow: {left}; Ctrl-C leaves them to piecewise sync")
        process.wait(max(0.0, deadline - time.monotonic()))
