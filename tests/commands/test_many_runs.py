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
SLACK = 0.1  # CPU seconds; reading 5,000 journals takes 0.45


def cpu_seconds(root: Path, words: list[str]) -> float:
    """The least of three, after one that makes the index."""
    found = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "piecewise", *words]
        done = subprocess.run(
            command, cwd=root, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        found.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(found[1:])


def test_finished_runs_slow_no_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roots = {name: new_project(tmp_path / name) for name in ("none", "runs", "sweeps")}
    make_runs(roots["runs"] / "runs", COUNT)
    make_runs(roots["sweeps"] / "runs", COUNT, sweeps_of=1000)
    found = {name: {key: cpu_seconds(root, words) for key, words in COMMANDS.items()} for name, root in roots.items()}
    with capsys.disabled():
        print(f"\nCPU seconds with no runs, with {COUNT} runs, and with {COUNT // 1000} sweeps of 1000 jobs:")
        for key in COMMANDS:
            print(f"  {key:16}", "  ".join(f"{found[name][key]:.2f}" for name in roots))
    # Planning and estimating takes seconds of CPU time, which vary by more than the slack.
    for name in ("runs", "sweeps"):
        assert found[name]["list"] < found["none"]["list"] + SLACK
        assert found[name]["list --help"] < found["none"]["list --help"] + SLACK
