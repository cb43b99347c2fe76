"""`piecewise` commands in processes that start at once: they are forked from one that has imported everything.

So is the fork server of a command's pool. Otherwise both are what a shell would start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import util
from pathlib import Path
from typing import Any

from small_project import ROOT

INJECTED = ROOT / "tests" / "faults" / "injected"  # faults in jobs, which commands ask for by environment variables


@dataclass
class Command:
    """A command that was started, in a process group of its own, as a terminal does."""

    server: WarmCommands
    pid: int
    place: Path  # of what it prints

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        code: int | None = self.server.ask(poll=self.pid)
        return code

    def wait(self, seconds: float = 240) -> int:
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            assert time.monotonic() < deadline, f"it runs after {seconds} s\n{self.output}\n{self.errors}"
            time.sleep(0.01)
        return code

    @property
    def output(self) -> str:
        return self.place.with_suffix(".out").read_text()

    @property
    def errors(self) -> str:
        return self.place.with_suffix(".err").read_text()


class WarmCommands:
    """Starts commands. What they print goes to files in `scratch`."""

    def __init__(self, scratch: Path) -> None:
        path = os.pathsep.join([str(INJECTED), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._scratch, self._count = scratch, 0
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def start(self, root: Path, *words: str, **environment: str) -> Command:
        """Start `piecewise` with these words in the folder `root`."""
        self._count += 1
        place = self._scratch / str(self._count)
        pid = self.ask(root=str(root), words=words, environment=environment, place=str(place))
        return Command(self, pid, place)

    def run(self, root: Path, *words: str, code: int = 0, **environment: str) -> Command:
        """Run a command to its end. Asserts its exit code."""
        command = self.start(root, *words, **environment)
        assert command.wait() == code, f"{words}\n{command.output}\n{command.errors}"
        assert "Traceback" not in command.errors, command.errors
        return command

    def ask(self, **request: Any) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        self._server.communicate(timeout=60)


def serve() -> int:
    """Read requests from standard input and answer each with one line. Returns what a command's process exits with."""
    import piecewise.analysis.evaluate
    import piecewise.commands.resume
    import piecewise.commands.sweep
    import piecewise.commands.train
    import piecewise.execution.evaluate_and_draw
    import piecewise.execution.executors.child
    import piecewise.execution.executors.warm_up
    import piecewise.execution.fit
    import piecewise.execution.run_sweep
    import piecewise.planning.plan  # noqa: F401

    ended: dict[int, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if (asked := request.get("poll")) is not None:
            if asked not in ended and (found := os.waitpid(asked, os.WNOHANG))[0]:
                ended[asked] = os.waitstatus_to_exitcode(found[1])
            print(json.dumps(ended.get(asked)), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            return command(request)
        print(pid, flush=True)
    for pid in _children() - ended.keys():  # of a test that has failed
        os.kill(pid, signal.SIGKILL)
    return 0


def fork_server(spawn: Any, program: str, words: Sequence[str], descriptors: Sequence[int]) -> int:
    """Start what `multiprocessing` starts; its fork server is forked from this process. Returns the process id."""
    if "forkserver" not in words[-1]:
        return int(spawn(program, words, descriptors))
    pid = os.fork()
    if pid == 0:
        last = 2
        for descriptor in sorted(descriptors):
            os.closerange(last + 1, descriptor)
            last = descriptor
        os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
        try:
            exec(words[-1], {})
        finally:
            os._exit(0)
    return pid


def command(request: dict[str, Any]) -> int:
    """Run a command in this process, which was forked for it."""
    os.setsid()
    for number, suffix in ((1, ".out"), (2, ".err")):
        descriptor = os.open(request["place"] + suffix, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["root"])
    os.environ.update(request["environment"])
    sys.argv = ["piecewise", *request["words"]]
    util.spawnv_passfds = partial(fork_server, util.spawnv_passfds)  # type: ignore[attr-defined]
    from piecewise.cli import main

    return main(request["words"])


def _children() -> set[int]:
    numbers = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return set(map(int, numbers))


if __name__ == "__main__":
    sys.exit(serve())
