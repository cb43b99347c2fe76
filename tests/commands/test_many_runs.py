"""Commands answer as fast with thousands of finished runs as with none."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from many_runs import make_runs
from small_project import TINY, new_project

pytestmark = pytest.mark.slow
COUNT = 5000
COMMANDS = {"list": ["list"], "list --help": ["list", "--help"], "train --dry-run": ["train", *TINY, "--dry-run"]}
ROUNDS = {"list": 5, "list --help": 5, "train --dry-run": 1}  # a dry run takes seconds, which vary less
LIMIT = 1.7  # times the CPU seconds that the command takes without runs; if `list` read 5,000 journals, 4 times


def cpu_seconds(root: Path, words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "piecewise", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_finished_runs_slow_no_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The least of several times: a machine may be half as fast from one second to the next."""
    roots = {name: new_project(tmp_path / name) for name in ("none", "runs", "sweeps")}
    make_runs(roots["runs"] / "runs", COUNT)
    make_runs(roots["sweeps"] / "runs", COUNT, sweeps_of=1000)
    for root in roots.values():
        cpu_seconds(root, ["list"])  # makes the index
    found: dict[str, dict[str, float]] = {}
    for key, words in COMMANDS.items():
        rounds = [{name: cpu_seconds(root, words) for name, root in roots.items()} for _ in range(ROUNDS[key])]
        found[key] = {name: min(times[name] for times in rounds) for name in roots}
    with capsys.disabled():
        print(f"\nCPU seconds with no runs, with {COUNT} runs, and with {COUNT // 1000} sweeps of 1000 jobs:")
        for key, seconds in found.items():
            print(f"  {key:16}", "  ".join(f"{value:.2f}" for value in seconds.values()))
    for seconds in found.values():
        assert max(seconds["runs"], seconds["sweeps"]) < LIMIT * seconds["none"]
