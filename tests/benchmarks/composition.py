"""How long it takes to plan 1,000 jobs, beside Hydra composing each anew: python tests/benchmarks/composition.py.

Prints CPU seconds of one process, the least of several rounds, after imports and trial steps: a sweep's shapes of jobs
are tried before it is timed. Planning composes, checks and freezes every job; Hydra only composes, and only a sample
of the jobs, from which the time for all is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.types import RunMode

from piecewise.planning.override_parser import parse
from piecewise.planning.plan import composing, plan_command_line

CONF = Path("conf")
ROUNDS = 3
SAMPLE = 20  # jobs that Hydra composes
FIRST = ["experiment=shallow_regression", "tracking=none"]
RATES = ",".join(f"{rate / 100:g}" for rate in range(1, 11))
# 1,000 jobs each. The seeds are last; with one of them a sweep has every shape of job.
SWEEPS = {
    "seeds": [*FIRST, "model.width=3", "seed=range(0,1000)"],
    "learning rates, seeds": [*FIRST, "model.width=3", f"optimizer.lr={RATES}", "seed=range(0,100)"],
    "models, widths, rates, seeds": [
        *(*FIRST, "model=shallow,mlp", "model.width=4,8,16,32,64", f"optimizer.lr={RATES}", "seed=range(0,10)")
    ],
}


def cpu_seconds(function: Callable[[], object]) -> float:
    found = []
    for _ in range(ROUNDS):
        parse.cache_clear()
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return min(found)


def compose_anew(combinations: Sequence[Sequence[str]]) -> None:
    with composing(CONF) as loader:
        for overrides in combinations:
            loader.load_configuration("config", list(overrides), RunMode.RUN)


def main() -> None:
    print(f"{'CPU seconds for 1,000 jobs of':32}{'planned':>10}{'by Hydra':>10}")
    for name, words in SWEEPS.items():
        plan_command_line(CONF, ["-m", *words[:-1], "seed=0"])  # the trial steps
        jobs = plan_command_line(CONF, ["-m", *words])
        assert len(jobs) == 1000
        planned = cpu_seconds(lambda words=words: plan_command_line(CONF, ["-m", *words]))
        sample = [job.overrides for job in jobs[:: len(jobs) // SAMPLE]]
        anew = cpu_seconds(lambda sample=sample: compose_anew(sample)) * len(jobs) / len(sample)
        print(f"{name:32}{planned:10.2f}{anew:10.1f}")


if __name__ == "__main__":
    main()
