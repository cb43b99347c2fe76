"""How long a training step takes, by size, optimizer, implementation and threads: python tests/benchmarks/steps.py.

Prints milliseconds, the median over rounds: in each round every variant takes a few steps, so that a change of the
machine's load meets all of them. `--busy` adds a process that never rests for each core. `docs/development.md` has a
table that this printed, and the rule that follows from it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from piecewise.models.cnn import Cnn
from piecewise.models.mlp import Mlp
from piecewise.models.shallow import Shallow

# name: (model, shape of an example, batch size)
SIZES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "1-20-1": (lambda: Shallow(1, 1, width=20), (1,), 100),
    "40-100-100-10": (lambda: Mlp(40, 10, depth=2, width=100), (40,), 100),
    "784-64-128-64-10": (lambda: Mlp(784, 10, width=[64, 128, 64]), (784,), 128),
    "784-256-256-10": (lambda: Mlp(784, 10, width=[256, 256]), (784,), 128),
    "784-1024-1024-10": (lambda: Mlp(784, 10, width=[1024, 1024]), (784,), 128),
    "cnn 16-32-64": (lambda: Cnn((1, 28, 28), 10), (1, 28, 28), 256),
}
OPTIMIZERS = {"SGD": lambda p, **how: torch.optim.SGD(p, 0.01, momentum=0.9, **how), "Adam": torch.optim.Adam}
IMPLEMENTATIONS = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
THREADS = 1, 2
SECONDS_PER_VISIT = 0.05  # of one variant in one round
Variant = tuple[str, str, str, int]


def prepare(size: str, optimizer: str, implementation: str) -> Callable[[], None]:
    """A function that takes one training step."""
    make, shape, batch_size = SIZES[size]
    torch.manual_seed(0)
    model = make()
    x, y = torch.rand(batch_size, *shape), torch.rand(batch_size, model(torch.rand(2, *shape)).shape[1])
    chosen = OPTIMIZERS[optimizer](model.parameters(), **IMPLEMENTATIONS[implementation])

    def step() -> None:
        loss = (model(x) - y).square().mean()
        chosen.zero_grad()
        loss.backward()
        chosen.step()

    return step


def visit(step: Callable[[], None], threads: int) -> float:
    """Milliseconds of a step, the mean over a visit."""
    torch.set_num_threads(threads)
    step()
    start = time.perf_counter()
    for count in itertools.count(1):
        step()
        if (elapsed := time.perf_counter() - start) > SECONDS_PER_VISIT:
            return 1000 * elapsed / count
    raise AssertionError


@contextmanager
def busy_machine(is_busy: bool) -> Iterator[None]:
    """One process for each core that never rests."""
    count = len(os.sched_getaffinity(0)) if is_busy else 0
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--busy", action="store_true", help="add a busy process for each core")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", default=",".join(SIZES), help="some of the sizes, separated by commas")
    asked = parser.parse_args()
    sizes = asked.sizes.split(",")
    variants: list[Variant] = list(itertools.product(sizes, OPTIMIZERS, IMPLEMENTATIONS, THREADS))
    steps = {key: prepare(*key) for key in itertools.product(sizes, OPTIMIZERS, IMPLEMENTATIONS)}
    found: dict[Variant, list[float]] = {variant: [] for variant in variants}
    with busy_machine(asked.busy):
        for _ in range(asked.rounds):
            for variant in variants:
                found[variant].append(visit(steps[variant[:3]], variant[3]))
    print(f"milliseconds a step; load average {os.getloadavg()[0]:.1f}; {'busy' if asked.busy else 'not made busy'}")
    columns = list(itertools.product(IMPLEMENTATIONS, THREADS))
    print(f"{'':18}{'':6}" + "".join(f"{f'{name} {threads}':>11}" for name, threads in columns))
    for size, optimizer in itertools.product(sizes, OPTIMIZERS):
        cells = (statistics.median(found[size, optimizer, *column]) for column in columns)
        print(f"{size:18}{optimizer:6}" + "".join(f"{cell:11.3f}" for cell in cells))


if __name__ == "__main__":
    main()
