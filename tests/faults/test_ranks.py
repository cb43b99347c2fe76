"""Ranks that die or freeze: the run ends, says so, leaves nobody, and goes on when it is asked to."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from piecewise.journal.folder import RunFolder
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.runs.train import read_result
from trials import Trials

pytestmark = pytest.mark.slow

TIMEOUT = 10  # trainer.timeout
OPTIONS = ["trainer=ddp_cpu", f"trainer.timeout={TIMEOUT}", "tracking=none", "log_every_n_steps=1", "batch_size=20"]


def ranks_of(project: Path) -> list[int]:
    """The processes of the ranks, first to last."""
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
def started(project: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], RunFolder]]:
    """A training on two ranks that has begun to measure, of which nothing is left afterwards."""
    command = [sys.executable, "-m", "piecewise", "train", *arguments]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process, _measuring(project, process)
    finally:
        process.kill()
        for rank in ranks_of(project):
            os.kill(rank, signal.SIGKILL)
        process.communicate()


def _measuring(project: Path, process: subprocess.Popen[str]) -> RunFolder:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        for path in project.glob("runs/*/journal.jsonl"):
            if path.read_bytes().count(b'"train/nll"') >= 18:
                return RunFolder.at(path.parent)
        time.sleep(0.05)
    raise AssertionError("no training has begun")


def disturb(place: Path, number: int, chance: random.Random, limit: float) -> RunRecord:
    place.mkdir()
    (place / "conf").symlink_to(place.parent / "conf")
    with started(place, "trainer.max_epochs=100000", *OPTIONS) as (process, folder):
        victim = chance.choice(ranks_of(place))
        time.sleep(chance.random())
        os.kill(victim, number)
        began = time.monotonic()
        _, said = process.communicate(timeout=limit + 60)
        assert time.monotonic() - began < limit, said
        assert process.returncode == 75, said
        assert ranks_of(place) == []
    record = read_journal(folder.journal)
    assert record is not None
    assert record.end is not None
    assert "rank" in record.end["reason"]
    return record


def test_a_rank_that_dies_ends_the_run(project: Path, trials: Trials) -> None:
    for number, chance in enumerate(trials("ranks killed: 75 within 15 s, FAILED, none left", 50)):
        record = disturb(project / str(number), signal.SIGKILL, chance, 15)
        assert record.end is not None
        assert record.end["status"] == "FAILED"


def test_a_rank_that_freezes_ends_the_run(project: Path, trials: Trials) -> None:
    for number, chance in enumerate(trials("ranks frozen: 75 within the timeout + 10 s, FAILED, none left", 20)):
        record = disturb(project / str(number), signal.SIGSTOP, chance, TIMEOUT + 10)
        assert record.end is not None
        assert record.end["status"] == "FAILED"


def test_a_run_that_lost_a_rank_goes_on(project: Path) -> None:
    with started(project, "trainer.max_epochs=300", *OPTIONS) as (process, folder):
        os.kill(ranks_of(project)[1], signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == 75
    done = subprocess.run([sys.executable, "-m", "piecewise", "resume", "last"], check=False, timeout=300)
    assert done.returncode == 0
    assert read_result(folder)["steps"] == read_result(folder)["steps_planned"] == 300 * 18
