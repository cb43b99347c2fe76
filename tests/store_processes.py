"""Processes that use one store at the same time. They are forked from a process that has already imported MLflow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from piecewise.project import Project

Answer = dict[str, Any]


class StoreProcesses:
    """`call` lets `num` processes call a function of this file at once. An answer has its "value" or its "error"."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore", __file__]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, what: str, root: Path, num: int, **options: Any) -> list[Answer]:
        """`kill_after`: seconds until each process is killed, from the start or from when the file `sign` exists."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps({"what": what, "root": str(root), "num": num, **options}), file=self._server.stdin, flush=True)
        answers: list[Answer] = json.loads(self._server.stdout.readline())
        return answers

    def close(self) -> None:
        self._server.communicate(timeout=60)


def open_and_write(root: Path, number: int) -> None:
    """Create a run with one metric."""
    from piecewise.tracking.store.addresses import EMBEDDED
    from piecewise.tracking.store.open import open_store

    client = open_store(EMBEDDED, Project(root))
    experiment = client.create_experiment(f"experiment-{number}", (root / "mlartifacts" / str(number)).as_uri())
    client.log_metric(client.create_run(experiment).info.run_id, "loss", number)


def prepare(root: Path, number: int) -> None:
    from piecewise.tracking.store.embedded import prepare

    prepare(Project(root))


def write(root: Path, number: int, batches: int, points: int) -> list[float]:
    """Log batches to a new run, repeating a batch while the store is busy. Returns the seconds of each batch."""
    from mlflow.entities import Metric

    from piecewise.tracking.store.addresses import EMBEDDED
    from piecewise.tracking.store.errors import is_temporary
    from piecewise.tracking.store.open import open_store

    client = open_store(EMBEDDED, Project(root))
    run = client.create_run("1", run_name=str(number)).info.run_id
    seconds = []
    for batch in range(batches):
        begun = time.perf_counter()
        metrics = [Metric("loss", number + batch / 8, 0, batch * points + point) for point in range(points)]
        while True:
            try:
                client.log_batch(run, metrics)
                break
            except Exception as error:
                if not is_temporary(error):
                    raise
        seconds.append(time.perf_counter() - begun)
    return seconds


def _serve() -> None:
    """Read requests from standard input, one a line, and answer each with one line."""
    with tempfile.TemporaryDirectory() as scratch:  # import MLflow once, before the forks
        open_and_write(Path(scratch), 0)
    for line in sys.stdin:
        request = json.loads(line)
        delays, sign = request.pop("kill_after", None), request.pop("sign", None)
        gate, opened = os.pipe()
        children = [_fork(request, number, gate, opened) for number in range(request["num"])]
        os.close(gate)
        os.close(opened)  # all children read the end of the pipe now, and start together
        begun = time.monotonic()
        while sign is not None and not Path(sign).exists() and not _have_ended(children):
            begun = time.monotonic()
        for delay, (pid, _) in sorted(zip(delays or [], children, strict=bool(delays))):
            time.sleep(max(0.0, begun + delay - time.monotonic()))
            os.kill(pid, signal.SIGKILL)
        print(json.dumps([_answer(pid, pipe) for pid, pipe in children]), flush=True)


def _fork(request: Answer, number: int, gate: int, opened: int) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    os.close(opened)
    os.read(gate, 1)  # wait until all processes exist
    options = {key: value for key, value in request.items() if key not in ("what", "root", "num")}
    answer: Answer = {}
    try:
        answer["value"] = globals()[request["what"]](Path(request["root"]), number, **options)
    except BaseException as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    with os.fdopen(writing, "w") as file:
        json.dump(answer, file)
    os._exit(0)


def _have_ended(children: list[tuple[int, int]]) -> bool:
    """Whether all have ended. They stay zombies, so that their process ids are not reused."""
    how = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return all(os.waitid(os.P_PID, pid, how) is not None for pid, _ in children)


def _answer(pid: int, pipe: int) -> Answer:
    with os.fdopen(pipe) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(text) if text else {"error": f"ended with {os.waitstatus_to_exitcode(status)}"}


if __name__ == "__main__":
    _serve()
