"""What tracking costs a training that records every step: python tests/benchmarks/tracking.py [ROUNDS].

Needs data/mnist (`dvc repro fetch`). Runs untracked, with the embedded store, with a server, with one that is not there
and with one that never answers take turns, each in a process and a project of its own. A figure is the median over the
rounds of the ratio to the untracked run beside it.
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
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
OPTIONS = ["experiment=mnist_mlp", "trainer.max_epochs=5", "trainer.accelerator=cpu", "log_every_n_steps=1"]
WARM = 100  # steps that are not counted
# Replaces `train`: the same command, and a callback that looks at the clock after each step.
CODE = """
import json, statistics, sys, time
import pytorch_lightning as pl
from piecewise.cli import main
from piecewise.runs import train as training

class Clock(pl.Callback):
    ends, epochs = [], []
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.ends.append((trainer.current_epoch, time.time()))

make = training.make_trainer
training.make_trainer = lambda config: (
    lambda callbacks, **rest: make(config)(callbacks=[*callbacks, Clock()], **rest)
)
assert main(["train", *sys.argv[1:]]) == 0
print(json.dumps(Clock.ends))
"""


def measure(tracking: list[str]) -> dict[str, float]:
    """Seconds to the first step, of an epoch of steps, of a step, and until the command is over."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("conf", "data"):
            Path(place, name).symlink_to(ROOT / name)
        start = time.time()
        command = [sys.executable, "-W", "ignore", "-c", CODE, *OPTIONS, *tracking]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        over = time.time()
    assert done.returncode == 0, done.stderr
    ends: list[tuple[int, float]] = json.loads(done.stdout.splitlines()[-1])
    # Between two epochs lies a validation.
    steps = [after - before for (one, before), (two, after) in pairwise(ends) if one == two][WARM:]
    return {
        "first step": ends[0][1] - start,
        "all steps": sum(steps),
        "median step": statistics.median(steps),
        "99th percentile": statistics.quantiles(steps, n=100)[98],
        "command": over - start,
    }


@contextmanager
def ways() -> Iterator[dict[str, list[str]]]:
    from servers import BEHAVIOURS, Front, RealServer, free_port

    with tempfile.TemporaryDirectory() as place:
        server = RealServer(Path(place, "server"))
        server.start()
        front = Front(server.port)
        front.behaviour = BEHAVIOURS["stalls"]
        uris = {"server": server.address, "none there": f"http://127.0.0.1:{free_port()}", "silent": front.address}
        try:
            yield {
                "embedded": ["tracking=embedded"],
                **{name: ["tracking=server", f"tracking.uri={uri}"] for name, uri in uris.items()},
            }
        finally:
            server.stop()


def main(rounds: int) -> None:
    ratios: dict[str, dict[str, list[float]]] = {}
    seconds: list[dict[str, float]] = []
    with ways() as tracked:
        for _ in range(rounds):
            alone = measure(["tracking=none"])
            seconds.append(alone)
            for name, options in tracked.items():
                measured: Any = measure(options)
                for key, value in measured.items():
                    ratios.setdefault(name, {}).setdefault(key, []).append(value / alone[key])
    print("untracked: " + ", ".join(f"{key} {_middle(seconds, key):.4f} s" for key in seconds[0]))
    for name, by_key in ratios.items():
        print(f"P12 {name}: " + ", ".join(f"{key} {statistics.median(found):.3f}" for key, found in by_key.items()))


def _middle(measured: list[dict[str, float]], key: str) -> float:
    return statistics.median(one[key] for one in measured)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
