"""Servers that are away, ill, slow or somebody else: a training is the same, and later everything is there, once."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import recorded
from piecewise.cli import main
from piecewise.jobs.job import Job
from piecewise.journal.folder import RunFolder
from piecewise.journal.reader import read_journal
from piecewise.runs.draw import draw_run
from piecewise.runs.evaluate import evaluate_run
from piecewise.runs.record import opener, push_all
from piecewise.runs.train import read_result, train
from servers import BEHAVIOURS, Behaviour, Front, RealServer, cuts, delays, drops_reply, passes
from shipped import wait_until_left
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
OPTIONS = ["trainer.max_epochs=30", "data.num_train=200", "batch_size=20", "log_every_n_steps=1"]
EPOCHS = 300  # of nine steps, for trainings that somebody is killed in
START = 15.0  # seconds that a tracked command may take longer: the store's ten, and some for a busy machine


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "piecewise", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def assert_whole(address: str, folder: RunFolder) -> int:
    """Everything in the journal is at the server, once, in a run that has FINISHED; how many points that are."""
    from mlflow import MlflowClient

    return recorded.assert_whole(MlflowClient(address), folder)


def assert_one_model(address: str, folder: RunFolder) -> None:
    """The run's files and its model are there, whole, and the model is registered, each once."""
    from mlflow import MlflowClient

    client = MlflowClient(address)
    run = recorded.run_of(client, folder)
    names = {item.path for item in client.list_artifacts(run.info.run_id, "figures")}
    assert names == {f"figures/{path.name}" for path in folder.figures.iterdir()}
    (output,) = run.outputs.model_outputs
    assert str(client.get_logged_model(output.model_id).status) == "READY"
    (version,) = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    assert version.source == f"models:/{output.model_id}"
    assert client.get_registered_model(version.name).aliases.keys() == {"best"}


def test_whatever_answers_the_training_is_the_same_and_later_all_is_there(
    project: Path, real: RealServer, front: Front, plan: Callable[..., list[Job]], trials: Trials
) -> None:
    untracked = RunFolder.at(project / "untracked")
    train(plan(*OPTIONS, "tracking=none")[0], untracked)
    began = time.monotonic()
    assert command("train", *OPTIONS, "tracking=none").returncode == 0
    usual = time.monotonic() - began
    names = list(BEHAVIOURS)
    for number, chance in enumerate(trials("servers that misbehave: trained alike, told once, all there later", 12)):
        name = names[number] if trials.share >= 1 else chance.choice(names)
        before = set(project.glob("runs/*/journal.jsonl"))
        front.behaviour = BEHAVIOURS[name]
        began = time.monotonic()
        done = command("train", *OPTIONS, "tracking=server", f"tracking.uri={front.address}")
        taken = time.monotonic() - began
        assert done.returncode == 0, (name, done.stderr)
        assert done.stderr.count("not in MLflow") == 1, (name, done.stderr)
        assert "Traceback" not in done.stderr
        assert taken < 2 * usual + START, name
        (path,) = set(project.glob("runs/*/journal.jsonl")) - before
        folder = RunFolder.at(path.parent)
        assert read_result(folder)["weights_digest"] == read_result(untracked)["weights_digest"]
        front.behaviour = passes
        assert main(["sync"]) == 0
        assert assert_whole(real.address, folder) > 300


def test_a_reply_that_is_lost_makes_no_double(
    project: Path, real: RealServer, front: Front, plan: Callable[..., list[Job]], trials: Trials
) -> None:
    """Of all that brings a run over: itself, its points, files and model, and the model's registration."""
    (job,) = plan(*OPTIONS, "trainer.max_epochs=2", "tracking=server", f"tracking.uri={front.address}")
    for number, chance in enumerate(trials("replies lost, the first to the sixtieth: one run, each point once", 60)):
        folder = RunFolder.at(project / "runs" / str(number))
        train(job, folder, {"id": f"reply {trials.seed} {number}"})
        job.write(folder.job)
        evaluate_run(folder)
        draw_run(folder)
        lost, before = number + 1 if trials.share >= 1 else chance.randrange(1, 61), front.count
        front.behaviour = drops_reply(lost)
        done = push_all(front.address, [folder], opener(front.address))
        assert done.problems == [], lost
        assert front.count - before > lost, "it was never sent"
        assert assert_whole(real.address, folder) > 3
        assert_one_model(real.address, folder)


@pytest.mark.parametrize("behaviour", [delays(2), cuts(4)], ids=["slow", "torn"])
def test_a_slow_or_torn_network_is_only_that(
    project: Path, real: RealServer, front: Front, plan: Callable[..., list[Job]], behaviour: Behaviour
) -> None:
    untracked = RunFolder.at(project / "untracked")
    train(plan(*OPTIONS, "tracking=none")[0], untracked)
    front.behaviour = behaviour
    done = command("train", *OPTIONS, "tracking=server", f"tracking.uri={front.address}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("not in MLflow") == done.stderr.count("\n") <= 1, done.stderr
    (path,) = project.glob("runs/*/journal.jsonl")
    folder = RunFolder.at(path.parent)
    assert read_result(folder)["weights_digest"] == read_result(untracked)["weights_digest"]
    front.behaviour = passes
    assert main(["sync"]) == 0
    assert assert_whole(real.address, folder) > 300
    assert_one_model(real.address, folder)


def kill_somebody(chance: random.Random, trainer: subprocess.Popen[str], server: RealServer) -> str:
    """SIGKILL to the trainer, its mirror or the server."""
    victim = chance.choice(["trainer", "trainer", "mirror", "server"])
    if victim == "server":
        server.stop(signal.SIGKILL)
    elif victim == "trainer":
        trainer.kill()
    else:
        children = Path(f"/proc/{trainer.pid}/task/{trainer.pid}/children").read_text().split()
        for child in children:
            if b"piecewise.runs.follower" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
    return victim


def test_whoever_is_killed_nothing_is_lost_and_nothing_runs_on(project: Path, real: RealServer, trials: Trials) -> None:
    target = ["tracking=server", f"tracking.uri={real.address}"]
    for number, chance in enumerate(
        trials("trainer, mirror or server killed: no point lost, no orphan, store sound", 50)
    ):
        chosen = target if number % 2 else []
        before = set(project.glob("runs/*/journal.jsonl"))
        words = [sys.executable, "-m", "piecewise", "train", *OPTIONS, f"trainer.max_epochs={EPOCHS}", *chosen]
        trainer = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while not (new := set(project.glob("runs/*/journal.jsonl")) - before) or b"nll" not in min(new).read_bytes():
            assert time.monotonic() < deadline
            assert trainer.poll() is None
            time.sleep(0.02)
        time.sleep(3 * chance.random())
        victim = kill_somebody(chance, trainer, real)
        _, said = trainer.communicate(timeout=120)
        if victim == "server":
            real.start()
        assert (trainer.returncode == 0) is (victim != "trainer"), said
        wait_until_left(project, 90)  # a mirror whose parent was killed brings the rest by itself, and then ends
        assert command("sync").returncode == 0
        (path,) = new
        _assert_kept(project, real.address if chosen else None, RunFolder.at(path.parent), victim)


def _assert_kept(project: Path, address: str | None, folder: RunFolder, victim: str) -> None:
    from mlflow import MlflowClient

    record = read_journal(folder.journal)
    assert record is not None
    assert record.end is not None
    is_over = len(record.history()["train/nll"]) == EPOCHS * 9  # the kill may come while it waits for the mirror
    expected = "KILLED" if victim == "trainer" else "FINISHED"
    assert record.end["status"] == expected or (is_over and record.end["status"] == "FINISHED")
    client: Any = MlflowClient(address or f"sqlite:///{project}/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(ids, f"tags.`piecewise.run_id` = '{record.start['id']}'")
    assert run.info.status == record.end["status"]
    assert [other for other in client.search_runs(ids) if other.info.status == "RUNNING"] == []
    for key, points in record.history().items():
        found = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]
        assert sorted(found) == sorted(points)
    if address is None:
        with closing(sqlite3.connect(project / "mlflow.db")) as store:
            assert store.execute("PRAGMA quick_check").fetchall() == [("ok",)]
