"""What tracking costs a training that records four measures at every step.

    python tests/benchmarks/tracking.py [ROUNDS [EPOCHS]]

Needs data/mnist (`dvc repro fetch`). Runs untracked, with the embedded store, with a server, with one that is not there
and with one that never answers take turns, each in a process and a project of its own, and the time to the first step
and of the whole command are ratios to the untracked run beside it.

Steps are compared within one training: a shared machine runs at two speeds, which change every few seconds, and two
trainings seldom meet the same. Two epochs with the mirror take turns with two while it is stopped; what it could not
do meanwhile it does in the next turn. In the untracked run nothing is stopped: its ratio says what the machine alone
does.

Of a training that keeps all processors busy for less than a minute and a half, which 24 epochs on two do, the mirror
sends nothing before the end. With 72 epochs the turns in which it opens the store are among the others.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
EPOCHS = int(sys.argv[2]) if len(sys.argv) > 2 else 24
OPTIONS = ["experiment=mnist_mlp", f"trainer.max_epochs={EPOCHS}", "trainer.accelerator=cpu", "log_every_n_steps=1"]
TURN = 2  # epochs
# Replaces `train`: the same command with four measures, which looks at the clock after each step.
CODE = """
import json, os, signal, sys, time
import psutil
import pytorch_lightning as pl
from piecewise.cli import main
from piecewise.journal.writer import Journal
from piecewise.execution import fit as training

record = Journal.metrics
def four(journal, step, values):
    if "train/nll" in values:
        values = values | {f"train/{name}": values["train/nll"] for name in ("second", "third", "fourth")}
    record(journal, step, values)
Journal.metrics = four

class Clock(pl.Callback):
    ends = []
    def on_train_epoch_start(self, trainer, module):
        self.signal(signal.SIGSTOP if trainer.current_epoch // TURN % 2 else signal.SIGCONT)
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.ends.append((trainer.current_epoch, time.time()))
    def on_train_end(self, trainer, module):
        self.signal(signal.SIGCONT)
    def signal(self, number):
        for child in psutil.Process().children():
            os.kill(child.pid, number)

make = training.make_trainer
training.make_trainer = lambda config: (
    lambda callbacks, **rest: make(config)(callbacks=[*callbacks, Clock()], **rest)
)
assert main(["train", *sys.argv[1:]]) == 0
print(json.dumps(Clock.ends))
""".replace("TURN", str(TURN))

Steps = list[float]  # seconds


def measure(tracking: list[str]) -> tuple[dict[str, float], list[Steps]]:
    """Seconds to the first step and until the command is over; the steps of every turn, with the mirror and without."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("conf", "data"):
            Path(place, name).symlink_to(ROOT / name)
        start = time.time()
        command = [sys.executable, "-W", "ignore", "-c", CODE, *OPTIONS, *tracking]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        over = time.time()
    assert done.returncode == 0, done.stderr
    ends: list[tuple[int, float]] = json.loads(done.stdout.splitlines()[-1])
    turns: list[Steps] = [[] for _ in range(EPOCHS // TURN)]
    for (one, before), (two, after) in pairwise(ends):
        if one == two:  # between two epochs lies a validation
            turns[one // TURN].append(after - before)
    return {"first step": ends[0][1] - start, "command": over - start}, turns


def compare(turns: list[Steps]) -> dict[str, list[float]]:
    """Each turn with the mirror against those without that come before and after it."""
    pairs = [(one, two) if number % 2 == 0 else (two, one) for number, (one, two) in enumerate(pairwise(turns))]
    return {
        "steps": [sum(on) / sum(off) for on, off in pairs],
        "median step": [statistics.median(on) / statistics.median(off) for on, off in pairs],
        "99th percentile": [_last_hundredth(on) / _last_hundredth(off) for on, off in pairs],
    }


def _last_hundredth(steps: Steps) -> float:
    return statistics.quantiles(steps, n=100)[98]


@contextmanager
def ways() -> Iterator[dict[str, list[str]]]:
    from servers import BEHAVIOURS, Proxy, RealServer, free_port

    with tempfile.TemporaryDirectory() as place:
        server = RealServer(Path(place, "server"))
        server.start()
        proxy = Proxy(server.port)
        proxy.behaviour = BEHAVIOURS["stalls"]
        uris = {"server": server.address, "none there": f"http://127.0.0.1:{free_port()}", "silent": proxy.address}
        try:
            yield {
                "embedded": ["tracking=embedded"],
                **{name: ["tracking=server", f"tracking.uri={uri}"] for name, uri in uris.items()},
            }
        finally:
            server.stop()


def main(rounds: int) -> None:
    ratios: dict[str, dict[str, list[float]]] = {}
    with ways() as tracked:
        for _ in range(rounds):
            alone, turns = measure(["tracking=none"])
            print(f"untracked: first step {alone['first step']:.2f} s, command {alone['command']:.2f} s", flush=True)
            found = {"untracked": compare(turns)}
            for name, options in tracked.items():
                seconds, turns = measure(options)
                found[name] = {key: [seconds[key] / alone[key]] for key in alone} | compare(turns)
            for name, by_key in found.items():
                for key, values in by_key.items():
                    ratios.setdefault(name, {}).setdefault(key, []).extend(values)
    for name, by_key in ratios.items():
        print(f"P12 {name}: " + ", ".join(f"{key} {statistics.median(found):.3f}" for key, found in by_key.items()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
