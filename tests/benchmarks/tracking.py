"""What tracking costs a training that records four metrics at every step.

    python tests/benchmarks/tracking.py [ROUNDS [EPOCHS]]

Needs data/mnist (`dvc repro fetch`). Each round has five trainings: untracked, with the embedded store, with a server,
with a missing server, and with a server that never answers. Each runs in a new process and project. The times to the
first step and of the whole command are ratios to the untracked training of the same round.

Steps are compared within one training, because the speed of a shared machine changes every few seconds. Turns of two
epochs with the mirror alternate with turns of two epochs while the mirror is stopped; it catches up in the next turn.
In the untracked training nothing is stopped, so its ratio shows the noise of the machine.

While all cores are busy, the mirror sends nothing during the first 90 s. 24 epochs on two cores are shorter. With 72
epochs, the mirror opens the store during the training.
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
# Runs `piecewise train` with four metrics, records the time after each step, and stops the mirror in every other turn.
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
    """Seconds to the first step and of the whole command; and the steps of each turn, the first one with the mirror."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("conf", "data"):
            Path(place, name).symlink_to(ROOT / name)
        start = time.time()
        command = [sys.executable, "-W", "ignore", "-c", CODE, *OPTIONS, *tracking]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        end = time.time()
    assert done.returncode == 0, done.stderr
    ends: list[tuple[int, float]] = json.loads(done.stdout.splitlines()[-1])
    turns: list[Steps] = [[] for _ in range(EPOCHS // TURN)]
    for (one, before), (two, after) in pairwise(ends):
        if one == two:  # between two epochs there is a validation
            turns[one // TURN].append(after - before)
    return {"first step": ends[0][1] - start, "command": end - start}, turns


def compare(turns: list[Steps]) -> dict[str, list[float]]:
    """Ratios of each turn with the mirror to the turns without it before and after."""
    pairs = [(one, two) if number % 2 == 0 else (two, one) for number, (one, two) in enumerate(pairwise(turns))]
    return {
        "steps": [sum(on) / sum(off) for on, off in pairs],
        "median step": [statistics.median(on) / statistics.median(off) for on, off in pairs],
        "99th percentile": [_percentile_99(on) / _percentile_99(off) for on, off in pairs],
    }


def _percentile_99(steps: Steps) -> float:
    return statistics.quantiles(steps, n=100)[98]


@contextmanager
def tracking_options() -> Iterator[dict[str, list[str]]]:
    """The options of each tracked training. The servers run inside the context."""
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
    with tracking_options() as tracked:
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
