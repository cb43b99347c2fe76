"""`piecewise sync`: rebuilding a corrupt store from the journals, new server addresses, and --watch."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from piecewise.analysis.draw import draw_run
from piecewise.analysis.evaluate import evaluate_run
from piecewise.cli import main
from piecewise.durable import read_records, write_json
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED, moved_servers, record_move
from piecewise.tracking.store.open import open_store
from piecewise.tracking.sync import sync_project, sync_runs
from piecewise.tracking.sync.sync_runs import SyncResult
from running_server import wait_for
from small_project import TINY

# The warnings are MLflow's and torch.export's own.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("restore_tracking_uri")]


def contents(root: Path) -> dict[str, Any]:
    """The content of the one run in MLflow, without MLflow's own ids and times."""
    client = open_store(EMBEDDED, Project(root))
    (experiment,) = client.search_experiments()
    (run,) = client.search_runs([experiment.experiment_id])
    (model,) = client.search_logged_models([experiment.experiment_id])
    history = {
        key: [(point.step, point.value, point.timestamp) for point in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id, "figures")}
    return {"status": run.info.status, "params": run.data.params, "history": history, "artifacts": artifacts} | {
        "model": str(model.status)
    }


@pytest.mark.slow
def test_rebuild_replaces_a_corrupt_store_and_keeps_the_old_one(
    tiny_job: Job, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder)
    evaluate_run(folder)
    draw_run(folder)
    assert main(["sync"]) == 0
    before = contents(project)
    assert len(before["history"]) > 3
    for path in project.root.glob("mlflow.db-*"):
        path.unlink()
    (project / "mlflow.db").write_bytes(b"no database" * 1000)
    capsys.readouterr()
    assert main(["sync"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: sqlite:///mlflow.db: mlflow.db is corrupt (file is not a database); ")
    assert "piecewise sync --rebuild" in line
    assert main(["sync", "--rebuild"]) == 0
    said = capsys.readouterr()
    found = re.search(r"the previous store is in (runs/\.aside-\w+)\n", said.err + said.out)
    assert found
    aside = project / found[1]
    assert (aside / "mlflow.db").read_bytes() == b"no database" * 1000
    assert len(list((aside / "mlartifacts").rglob("model.pt2"))) == 1
    assert said.out.endswith("1 runs, 1 brought up to date\n")
    assert contents(project) == before
    assert main(["sync"]) == 0
    assert capsys.readouterr().out == "1 runs, 0 brought up to date\n"


def test_rebuild_without_a_store_is_a_sync(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "--rebuild"]) == 0
    assert capsys.readouterr().out == "0 runs, 0 brought up to date\n"
    assert not (project / "mlflow.db").exists()


def test_sync_refuses_an_unknown_option(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "--rebuilt"]) == 2
    assert "piecewise sync --help lists the options" in capsys.readouterr().err


def test_a_network_disk_is_bad_input_and_nothing_is_moved(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(project / "runs" / "one" / "journal.jsonl") as journal:
        journal.start(id="one", name="x", title="x")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [SimpleNamespace(mountpoint="/", fstype="nfs")])
    assert main(["sync"]) == 2
    assert "mlflow.db would lie on nfs, a network file system; allowed: tracking=server" in capsys.readouterr().err
    (project / "mlflow.db").write_bytes(b"a store of before")
    assert main(["sync", "--rebuild"]) == 2
    assert (project / "mlflow.db").read_bytes() == b"a store of before"
    assert list((project / "runs").glob(".aside-*")) == []


def test_a_new_address_of_a_server_is_remembered(
    project: Project, plan: Callable[..., list[Job]], capsys: pytest.CaptureFixture[str]
) -> None:
    typo, right, later = "http://nowhere.invalid:5001", "http://127.0.0.1:9", "https://127.0.0.1:9"
    (job,) = plan(*TINY[:-1], "tracking=server", f"tracking.uri={typo}")
    folder = RunFolder.at(project / "runs" / "one")
    job.write(folder.job)
    with Journal(folder.journal) as journal:
        journal.start(id="one", name="x", title="x")
    for words, wrong in {
        ("http://nowhere.invalid", right): f"did you mean '{typo}'? allowed: {typo}",
        (typo, "sqlite:///mlflow.db"): "is no store; allowed: http, https",
        (typo, "http://me:secret@127.0.0.1:9"): "--moved holds credentials",
    }.items():
        assert main(["sync", "--moved", *words]) == 2
        said = capsys.readouterr().err
        assert wrong in said
        assert "secret" not in said
    assert moved_servers(project) == {}
    record_move(project, typo, right, [typo])
    assert moved_servers(project) == {typo: right}
    record_move(project, right, later, [typo])  # a second move: both former addresses map to the newest
    assert moved_servers(project) == {typo: later, right: later}
    record_move(project, later, right, [typo])
    assert moved_servers(project) == {typo: right, later: right}


def test_watching_syncs_only_changed_runs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of a sweep that has ended again are synced too: another job may be the best one now."""
    done, ended, live, sweep, job = (
        RunFolder.at(project / "runs" / name) for name in ("done", "ended", "live", "sweep", "sweep/0000")
    )
    for folder in (done, ended, live, sweep, job):
        with Journal(folder.journal) as journal:
            journal.start(id=folder.journal.parent.name, name="x", title="x")
            if folder is not live:
                journal.end("FINISHED")
    rounds: list[set[str]] = []

    def push_all(uri: str, folders: list[RunFolder], opens: object, result: SyncResult) -> None:
        rounds.append({folder.journal.parent.name for folder in folders})
        result.problems += ["lost"] if len(rounds) == 3 else []

    def sleep(seconds: float) -> None:
        if len(rounds) == 2:
            write_json(ended.metrics, {"test/nll": 1.0})
            with Journal(sweep.journal) as journal:
                journal.resume()
                journal.end("FINISHED", best="0000")
        if len(rounds) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(sync_runs, "push_all", push_all)
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        main(["sync", "--watch"])
    everything = {"done", "ended", "live", "sweep", "0000"}
    assert rounds == [everything, {"live"}, everything - {"done"}, everything, {"live"}]
    rounds.clear()
    monkeypatch.setattr(sync_project, "FULL_SYNC_SECONDS", -1.0)  # every sync is a full one
    with pytest.raises(KeyboardInterrupt):
        main(["sync", "--watch"])
    assert rounds == [everything] * 5


@pytest.mark.slow
def test_watching_follows_a_training_until_ctrl_c(project: Project) -> None:
    """Two commands run side by side, as in two terminals. SQL counts the points in the store."""
    piecewise = [sys.executable, "-m", "piecewise"]
    options = [*TINY, "trainer.max_epochs=1000000"]
    watching = subprocess.Popen([*piecewise, "sync", "--watch"], stdout=subprocess.PIPE, text=True)
    training = subprocess.Popen([*piecewise, "train", *options], stderr=subprocess.DEVNULL)
    try:
        wait_for_points(project, above=0)
        for _ in range(2):  # new points arrive during training
            wait_for_points(project, above=points_in_journal(project))
        assert training.poll() is None
        training.send_signal(signal.SIGTERM)
        assert training.wait(60) == 143
        total = points_in_journal(project)
        assert wait_for_points(project, above=total - 1) == total
        wait_for(lambda: not num_running(project), "the end of the run", 60)
    finally:
        training.kill()
        watching.send_signal(signal.SIGINT)
        said, _ = watching.communicate(timeout=60)
    assert watching.returncode == 130
    sent = [int(count) for count in re.findall(r": (\d+) points, ", said)]
    assert len(sent) >= 2
    assert sum(sent) <= total  # none twice; a sync that Ctrl-C interrupts reports no points


def count_in_store(project: Project, query: str) -> int:
    if not (project / "mlflow.db").exists():
        return 0
    with closing(sqlite3.connect(project / "mlflow.db", timeout=30)) as store:
        (count,) = store.execute(query).fetchone()
    return int(count)


def points_in_journal(project: Project) -> int:
    """The number of points in the only journal."""
    (path,) = project.root.glob("runs/*/journal.jsonl")
    return sum(len(record.get("values", ())) for record in read_records(path))


def wait_for_points(project: Project, above: int) -> int:
    """The number of points in the store, after waiting for more than `above`."""
    points = "SELECT count(*) FROM metrics"
    wait_for(lambda: count_in_store(project, points) > above, f"more than {above} points", 120)
    return count_in_store(project, points)


def num_running(project: Project) -> int:
    return count_in_store(project, "SELECT count(*) FROM runs WHERE status = 'RUNNING'")
