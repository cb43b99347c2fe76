"""If a rank dies or freezes, the run ends with a reason, leaves no process, and can be resumed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from time_limits import assert_within
from trials import Trials

pytestmark = pytest.mark.slow

Plan = Callable[..., list[Job]]
TIMEOUT = 10  # trainer.timeout
EPOCHS, STEPS = 40, 18  # epochs of the resumed run, steps of one epoch
OPTIONS = ["trainer=ddp_cpu", f"trainer.timeout={TIMEOUT}", "tracking=none", "log_every_n_steps=1", "batch_size=20"]


def ranks_of(project: Path) -> list[int]:
    """The process ids of the ranks, in order of rank."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (place / "cmdline").read_bytes(), (place / "environ").read_bytes().split(b"\0")
            is_ours = b"piecewise.worker" in command and (place / "cwd").readlink() == project
        except OSError:
            continue
        if is_ours:
            number = next((item for item in environment if item.startswith(b"LOCAL_RANK=")), b"LOCAL_RANK=0")
            found[int(number.split(b"=")[1])] = int(place.name)
    return [found[number] for number in sorted(found)]


@contextmanager
def started(project: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Train on two ranks, and kill all of its processes at the end."""
    command = [sys.executable, "-m", "piecewise", "train", *arguments]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        for rank in ranks_of(project):
            os.kill(rank, signal.SIGKILL)
        process.communicate()


def wait_for_first_epoch(project: Path, process: subprocess.Popen[str]) -> RunFolder:
    """Wait until the journal has the steps of one epoch. Returns the run's folder."""
    deadline = time.monotonic() + 120
    assert process.stderr is not None
    while time.monotonic() < deadline:
        for path in project.glob("runs/*/journal.jsonl"):
            if path.read_bytes().count(b'"train/nll"') >= STEPS:
                return RunFolder.at(path.parent)
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError("no training has begun")


def make_project(place: Path) -> None:
    place.mkdir()
    (place / "conf").symlink_to(place.parent / "conf")


def disturb(place: Path, number: int, rng: random.Random, limit: float, code: int = 75) -> dict[str, Any]:
    """Send a signal to a random rank of a run. Returns the journal's end record, with the rank added."""
    make_project(place)
    with started(place, "trainer.max_epochs=100000", *OPTIONS) as process:
        folder = wait_for_first_epoch(place, process)
        rank = rng.randrange(2)
        time.sleep(rng.random())
        os.kill(ranks_of(place)[rank], number)
        began = time.monotonic()
        _, stderr = process.communicate(timeout=10 * limit)
        assert_within(limit, time.monotonic() - began, stderr)
        assert process.returncode == code, stderr
        assert ranks_of(place) == []
    assert list(folder.journal.parent.glob(".rank*")) == []
    record = read_journal(folder.journal)
    assert record is not None
    assert record.end is not None
    return {**record.end.raw, "rank": rank}


def test_a_rank_that_dies_ends_the_run(project: Path, trials: Trials) -> None:
    for number, rng in enumerate(trials("ranks killed: 75 within 15 s, FAILED, none left", 50)):
        end = disturb(project / str(number), signal.SIGKILL, rng, 15)
        assert end["status"] == "FAILED"
        assert f"rank {end['rank']} was ended by SIGKILL" in end["reason"]


def test_a_rank_that_freezes_ends_the_run(project: Path, trials: Trials) -> None:
    for number, rng in enumerate(trials("ranks frozen: 75 within the timeout + 10 s, FAILED, none left", 20)):
        end = disturb(project / str(number), signal.SIGSTOP, rng, TIMEOUT + 10)
        assert end["status"] == "FAILED"
        assert f"rank {end['rank']} is frozen" in end["reason"]


def test_a_rank_that_starts_late_is_waited_for(project: Path) -> None:
    """On a busy machine, importing torch may take longer than `trainer.timeout`, which applies only while training."""
    make_project(project / "late")
    with started(project / "late", "trainer.max_epochs=100000", *OPTIONS, "trainer.timeout=3") as process:
        while len(ranks := ranks_of(project / "late")) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(ranks[1], signal.SIGSTOP)
        time.sleep(10)  # rank 0 begins to wait after about 5 s
        os.kill(ranks[1], signal.SIGCONT)
        assert wait_for_first_epoch(project / "late", process).journal.is_file()


def test_sigterm_to_one_rank_stops_all_ranks(project: Path, trials: Trials) -> None:
    for number, rng in enumerate(trials("SIGTERM to one rank: 143, KILLED, none left", 20)):
        end = disturb(project / str(number), signal.SIGTERM, rng, 10, code=143)
        assert (end["status"], end["reason"]) == ("KILLED", "Stopped: stopped by SIGTERM")


def test_a_run_that_lost_a_rank_can_be_resumed_with_another_number_of_ranks(
    project: Path, plan: Plan, trials: Trials
) -> None:
    options = [f"trainer.max_epochs={EPOCHS}", "trainer.precision=64-true", *OPTIONS]
    undisturbed = RunFolder.at(project / "undisturbed")
    train(plan(*options, "trainer.devices=1")[0], undisturbed)
    counts = (1, 4)
    for number, rng in enumerate(trials("a run that lost one of two ranks goes on with 1, with 4", len(counts))):
        count = counts[number] if trials.share >= 1 else rng.choice(counts)
        place = project / str(count)
        make_project(place)
        with started(place, *options) as process:
            folder = wait_for_first_epoch(place, process)
            os.kill(ranks_of(place)[1], signal.SIGKILL)
            process.communicate(timeout=60)
            assert process.returncode == 75
        words = [sys.executable, "-m", "piecewise", "resume", "last", "trainer.timeout=60", f"trainer.devices={count}"]
        done = subprocess.run(words, cwd=place, check=False, timeout=300, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert f"trainer.devices={count}, but the run has 2" in done.stderr
        result = read_result(folder)
        assert result["steps"] == result["steps_planned"] == EPOCHS * STEPS
        assert result["numerics"]["world_size"] == count
        for name, weights in load_file(undisturbed.weights).items():
            torch.testing.assert_close(load_file(folder.weights)[name], weights, rtol=1e-9, atol=1e-9)
