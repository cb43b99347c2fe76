"""Mirroring in a process of its own, and `sync` when one of the runs or the store fails."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from piecewise.analysis.evaluate import evaluate_run
from piecewise.cli import main
from piecewise.errors import BadInput, TryAgain
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder, all_runs
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.store import embedded
from piecewise.tracking.store.addresses import EMBEDDED, named_stores, store_of
from piecewise.tracking.store.embedded import prepare
from piecewise.tracking.sync import sync_runs, waiting
from piecewise.tracking.sync.background import BackgroundMirror
from piecewise.tracking.sync.sync_runs import sync

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.slow
def test_a_run_is_mirrored_while_it_trains(tiny_job: Job, project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    mirror = BackgroundMirror(EMBEDDED, [folder])
    train(tiny_job, folder)
    mirror.close()
    assert capfd.readouterr().err == ""
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
        points = store.execute("SELECT count(*) FROM metrics WHERE key = 'train/nll'").fetchone()
    assert points == (2,)  # one reading per epoch


@pytest.mark.slow
def test_training_finishes_if_the_store_cannot_be_opened(
    tiny_job: Job, project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    mirror = BackgroundMirror(f"sqlite:///{project}/requirements.lock/mlflow.db", [folder])
    train(tiny_job, folder)
    mirror.close()
    assert "not in MLflow" in capfd.readouterr().err
    assert folder.result.is_file()


@pytest.mark.usefixtures("empty_store")
def test_sync_fails_temporarily_while_the_store_is_locked(
    tiny_job: Job, project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny_job, RunFolder.at(project / "runs" / "one"))
    prepare(project)
    monkeypatch.setattr(embedded, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(project / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA locking_mode = EXCLUSIVE")
        writer.execute("BEGIN EXCLUSIVE")
        assert main(["sync"]) == TryAgain.exit_code
    assert capsys.readouterr().err == f"error: {EMBEDDED}: another process is writing to it\n"
    assert main(["sync"]) == 0


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("training/model.safetensors", ""),
        ("training/job.json", "job.json is no JSON"),
        ("evaluation/evaluated.json", "evaluated.json is no JSON"),
        ("evaluation/metrics.json", "metrics.json is no JSON"),
    ],
)
@pytest.mark.usefixtures("empty_store")
def test_a_damaged_run_does_not_stop_the_others(tiny_job: Job, project: Project, name: str, what: str) -> None:
    for run in ("broken", "sound"):
        folder = RunFolder.at(project / "runs" / run)
        train(tiny_job, folder)
        evaluate_run(folder)
    (project / "runs" / "broken" / name).write_bytes(b"{")
    done = sync(EMBEDDED, all_runs(project))
    assert (len(done.updated), len(done.problems)) == (1, 1), done.problems
    assert "runs/broken/journal.jsonl: " in done.problems[0]
    assert what in done.problems[0]
    assert done.exit_code == 1


@pytest.mark.usefixtures("empty_store")
def test_a_run_without_a_result_is_sent_without_a_model(tiny_job: Job, project: Project) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder)
    folder.result.unlink()
    done = sync(EMBEDDED, all_runs(project))
    assert (len(done.updated), done.problems) == (1, [])


def test_named_stores_leave_out_damaged_jobs(plan: Callable[..., list[Job]], project: Project) -> None:
    sound, damaged = (RunFolder.at(project / "runs" / name) for name in ("sound", "damaged"))
    for folder in (sound, damaged):
        plan("tracking=server", "tracking.uri=http://127.0.0.1:5001")[0].write(folder.job)
    damaged.job.write_text("{")
    assert list(named_stores([damaged, sound, RunFolder.at(project / "runs" / "none")])) == ["http://127.0.0.1:5001"]


def test_a_sweep_belongs_to_the_store_of_its_first_job(plan: Callable[..., list[Job]], project: Project) -> None:
    sweep = RunFolder.at(project / "runs" / "sweep")
    (job,) = plan("tracking=server", "tracking.uri=http://127.0.0.1:5001")
    job.write(RunFolder.at(sweep.training.parent / "0000").job)
    assert store_of(sweep) == "http://127.0.0.1:5001"
    assert store_of(RunFolder.at(project / "runs" / "another")) is None
    RunFolder.at(sweep.training.parent / "0000").job.write_text("{")
    with pytest.raises(BadInput, match=r"0000/training/job\.json is no JSON"):
        store_of(sweep)


def test_a_silent_server_is_found_before_mlflow_is_imported(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(RunFolder.at(project / "runs" / "one").journal) as journal:
        journal.start(id="one", name="x", title="x")
    tries: list[float] = []
    monkeypatch.setattr(sync_runs.time, "sleep", tries.append)
    monkeypatch.setattr(waiting, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(sync_runs, "open_mirror", lambda *_: pytest.fail("opened"))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts connections, and answers nothing
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = sync(uri, all_runs(project))
    assert done.problems == [f"{uri}: it cannot be reached; is it running, and is tracking.uri right?"]
    assert (done.exit_code, len(tries)) == (TryAgain.exit_code, sync_runs.MAX_TRIES - 1)


def test_progress_resets_the_count_of_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(sync_runs.time, "sleep", slept.append)
    tried: list[int] = []

    def fail_first(count: int) -> str:
        tried.append(len(tried))
        if len(tried) <= count:
            raise TryAgain("busy")
        return "done"

    assert sync_runs.retry("http://x", lambda: fail_first(50), lambda: len(tried)) == "done"
    assert len(slept) == 50
    assert max(slept) <= 0.2  # each pause is the first, shortest one
    tried.clear()
    with pytest.raises(TryAgain):
        sync_runs.retry("http://x", lambda: fail_first(50))
    assert len(tried) == sync_runs.MAX_TRIES
