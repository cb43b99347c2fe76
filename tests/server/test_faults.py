"""PostgreSQL is stopped at random moments. `make faults` runs as many trials as each promise states."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from paused_training import start_training
from piecewise.cli import main
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from running_server import API, Server, wait_for
from small_project import TINY
from stored_runs import assert_finished, has_points
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_stopping_postgres_at_once_under_load_loses_no_acknowledged_metric(server: Server, trials: Trials) -> None:
    """A thread logs metrics meanwhile, and repeats each until it is acknowledged."""
    experiment = server.create("experiments", name="load")["experiment_id"]
    run = server.create("runs", experiment_id=experiment)["run"]["info"]["run_id"]
    acknowledged: set[int] = set()
    is_over = threading.Event()

    def log() -> None:
        step = 0
        while not is_over.is_set():
            fields = {"run_id": run, "key": "loss", "value": step / 7, "timestamp": step, "step": step}
            try:
                if server.ask("POST", f"{API}/runs/log-metric", fields).status == 200:
                    acknowledged.add(step)
                    step += 1
            except OSError:
                time.sleep(0.05)

    def stop() -> float:
        before, count, begun = server.members(), len(acknowledged), time.monotonic()
        os.kill(before[0], signal.SIGQUIT)
        wait_for(lambda: server.members()[0] != before[0] and len(acknowledged) > count + 3, "PostgreSQL is back", 60)
        return time.monotonic() - begun

    writer = threading.Thread(target=log)
    writer.start()
    seconds = []
    try:
        for rng in trials("PostgreSQL stopped at once under load, back and nothing acknowledged lost", 20):
            time.sleep(rng.uniform(0.2, 1))
            seconds.append(stop())
    finally:
        is_over.set()
        writer.join()
    wait_for(server.is_up, "the server is up", 60)
    history = steps_of(server, run)
    print(f"{len(seconds)} stops, back within {max(seconds):.1f} s, {len(acknowledged)} points acknowledged")
    assert acknowledged <= history


def test_stopping_postgres_at_once_during_a_training_changes_no_weights_and_loses_no_points(
    server: Server, project: Project, plan: Callable[..., list[Job]], trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL stops after it has recorded points. `piecewise sync` completes them; the journal is the oracle."""
    from piecewise.tracking.store.open import open_store

    known = server.read_json("credentials")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", known["username"])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", known["password"])
    options = [*TINY[1:-1], "trainer.max_epochs=1000", "log_every_n_steps=1"]
    untracked = RunFolder.at(project / "untracked")
    train(plan(*options, "tracking=none")[0], untracked)
    client = open_store(server.uri, project)
    promise = "PostgreSQL stopped at once during a training: same weights, all points after one sync"
    for rng in trials(promise, 20):
        member = server.members()[0]
        training = start_training(project, *options, "tracking=server", f"tracking.uri={server.uri}")
        (folder,) = training.folders
        training.pause_until(lambda: has_points(client, folder), "points at the server")  # noqa: B023
        time.sleep(rng.uniform(0, 3))
        os.kill(member, signal.SIGQUIT)
        _, said = training.process.communicate(timeout=300)
        assert training.process.returncode == 0, said
        assert said.count("not in MLflow") <= 1
        assert read_result(folder)["weights_digest"] == read_result(untracked)["weights_digest"]
        wait_for(lambda before=member: server.members()[0] != before and server.is_up(), "the database is back", 60)  # type: ignore[misc]
        assert main(["sync"]) == 0
        assert assert_finished(client, folder) > 4000


def steps_of(server: Server, run: str) -> set[int]:
    steps: set[int] = set()
    token = ""
    while True:
        asked = f"{API}/metrics/get-history?run_id={run}&metric_key=loss&max_results=25000&page_token={token}"
        found = server.ask("GET", asked).json
        steps |= {int(metric.get("step", 0)) for metric in found["metrics"]}
        token = found.get("next_page_token", "")
        if not token:
            return steps
