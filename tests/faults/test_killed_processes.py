"""Kills the trainer, sweep, mirror or server of a training: no point is lost, no process left, each status correct."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from paused_training import PausableTraining, count_stored_points, start_training
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from servers import RealServer
from shipped import wait_for_processes_to_end
from stored_runs import assert_points, run_of, runs_at
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
EPOCHS, STEPS = 600, 9  # the training lasts longer than any wait before a kill
OPTIONS = [f"trainer.max_epochs={EPOCHS}", "data.num_train=200", "batch_size=20", "log_every_n_steps=1"]


def kill(victim: str, rng: random.Random, training: PausableTraining, server: RealServer) -> None:
    """Kill the victim. In half of the trials, a killed server restarts at once."""
    trainer = training.process
    if victim == "server":
        server.stop(signal.SIGKILL)
        if rng.random() < 0.5:
            server.start()
    elif victim == "mirror":
        children = Path(f"/proc/{trainer.pid}/task/{trainer.pid}/children").read_text().split()
        (mirror,) = [one for one in children if b"sync.follower" in Path(f"/proc/{one}/cmdline").read_bytes()]
        os.kill(int(mirror), signal.SIGKILL)
    else:
        trainer.kill()


def test_a_killed_process_loses_no_point_and_leaves_no_other_process(
    project: Project, real: RealServer, trials: Trials
) -> None:
    """In four of five trials the kill comes after the store has the first points; in the fifth it may come before."""
    promise = "trainer, sweep, mirror or server killed: no point lost, no orphan, store sound"
    for number, rng in enumerate(trials(promise, 50)):
        has_server = number % 2 == 1
        store = real.place / "server.db" if has_server else project / "mlflow.db"
        target = ["tracking=server", f"tracking.uri={real.address}"] if has_server else []
        victim = rng.choice(["trainer", "sweep", "mirror", *(["server"] if has_server else [])])
        sweep = ["-m", "seed=1,2", "fresh=1"] if victim == "sweep" else []  # another trial may have left such a sweep
        training = start_training(project, *OPTIONS, *target, *sweep)
        if number % 5 < 4:
            training.pause_until(lambda: count_stored_points(store, training.folders) > 0, "points at the store")  # noqa: B023
        time.sleep(rng.uniform(0, 3))
        kill(victim, rng, training, real)
        _, stderr = training.process.communicate(timeout=120)
        if victim == "server":
            real.start()
        assert training.process.returncode == (0 if victim in ("mirror", "server") else -signal.SIGKILL), stderr
        wait_for_processes_to_end(project.root, 90)  # a mirror whose parent was killed sends the rest, then ends
        words = [sys.executable, "-m", "piecewise", "sync"]
        assert subprocess.run(words, capture_output=True, check=False).returncode == 0
        assert_kept(victim, training.folders, real.address if has_server else f"sqlite:///{store}")
        with closing(sqlite3.connect(store)) as database:
            assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]


def assert_kept(victim: str, folders: list[RunFolder], address: str) -> None:
    """Assert that each run in the store has the status at the end of its journal, and every point once."""
    from mlflow import MlflowClient

    client: Any = MlflowClient(address)
    assert [run for run in runs_at(client) if run.info.status == "RUNNING"] == []
    statuses = []
    for folder in folders:
        record = read_journal(folder.journal)
        assert record is not None
        assert record.end is not None
        assert_points(client, folder)
        statuses.append(run_of(client, folder).info.status)
        assert statuses[-1] == record.end.status
    if victim == "sweep":
        assert statuses[0] == "KILLED"
        tags = run_of(client, folders[0]).data.tags
        assert {key: int(tags[f"sweep.{key}"]) for key in ("finished", "killed")} == {
            "finished": statuses[1:].count("FINISHED"),
            "killed": statuses[1:].count("KILLED"),
        }
    elif victim == "trainer":
        assert statuses == ["KILLED"] or has_trained(folders[0])  # the kill may come after the last step
    else:
        assert statuses == ["FINISHED"]


def has_trained(folder: RunFolder) -> bool:
    record = read_journal(folder.journal)
    assert record is not None
    return len(record.history()["train/nll"]) == EPOCHS * STEPS
