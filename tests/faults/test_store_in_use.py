"""No metric is lost when the embedded store is under load, locked, read-only or on a full disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, all_runs, read_result
from piecewise.project import Project
from piecewise.tracking.store.embedded import prepare
from small_project import TINY
from store_processes import StoreProcesses
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PIECEWISE = [sys.executable, "-m", "piecewise"]
EMBEDDED_TINY = [item for item in TINY if not item.startswith("tracking")]
POINTS = 10  # in a batch
EXTRA_SECONDS = 15.0  # a command may take this much longer: the store's 10 s, and 5 s for a busy machine
# Root may write to read-only files unless it drops these capabilities.
DROPPED = "-dac_override,-dac_read_search"
AS_ORDINARY_USER = ["setpriv", f"--bounding-set={DROPPED}", f"--inh-caps={DROPPED}"]


def piecewise(*arguments: str, prefix: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [*(prefix or []), *PIECEWISE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def assert_complete(project: Project) -> int:
    """Assert that MLflow has every point of every journal exactly once. Returns the number of points."""
    expected = []
    for folder in all_runs(project):
        record = read_journal(folder.journal)
        assert record is not None
        run = record.start.id
        expected += [(run, key, *point) for key, points in record.history().items() for point in points]
    query = "SELECT t.value, m.key, m.step, m.value FROM metrics m JOIN tags t USING (run_uuid)"
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = store.execute(f"{query} WHERE t.key = 'piecewise.run_id' AND m.key NOT LIKE 'test/%'").fetchall()
        runs = store.execute("SELECT count(*) FROM runs").fetchone()
        repeated = store.execute("SELECT key FROM metrics GROUP BY run_uuid, key, step HAVING count(*) > 1").fetchall()
    assert repeated == []
    assert runs == (len(all_runs(project)),)
    keys = {key for _, key, _, _ in expected}
    assert sorted(row for row in rows if row[1] in keys) == sorted(expected)
    return len(expected)


def test_sixteen_writers_lose_nothing(tmp_path: Path, trials: Trials, capsys: pytest.CaptureFixture[str]) -> None:
    batches = trials.count(2000)
    processes = StoreProcesses()
    processes.call("open_and_write", tmp_path, 1)
    begun = time.perf_counter()
    answers = processes.call("write", tmp_path, 16, batches=batches, points=POINTS)
    seconds = time.perf_counter() - begun
    processes.close()
    assert [answer for answer in answers if "error" in answer] == []
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        rows = store.execute(
            "SELECT r.name, count(*), count(DISTINCT m.step), max(m.step), max(m.value) "
            "FROM metrics m JOIN runs r USING (run_uuid) WHERE r.experiment_id = 1 AND r.name IN "
            f"({', '.join(repr(str(number)) for number in range(16))}) GROUP BY r.name ORDER BY CAST(r.name AS INTEGER)"
        ).fetchall()
    total = batches * POINTS
    assert rows == [(str(n), total, total, total - 1, n + (batches - 1) / 8) for n in range(16)]
    taken = np.concatenate([answer["value"] for answer in answers])
    p50, p99 = np.percentile(taken, [50, 99]) * 1000
    with capsys.disabled():
        print(f"\n16 writers × {batches} batches of {POINTS} points: {16 * total / seconds:,.0f} points/s, ", end="")
        print(f"a batch takes {p50:.1f} ms (p50), {p99:,.0f} ms (p99)")


def test_four_runs_that_log_at_every_step(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*EMBEDDED_TINY, "log_every_n_steps=1", "trainer.max_epochs=100"]
    begun = time.perf_counter()
    commands = [[*PIECEWISE, "train", *options, f"seed={seed}"] for seed in range(4)]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [process.wait(300) for process in processes] == [0] * 4
    seconds = time.perf_counter() - begun
    assert piecewise("sync").returncode == 0
    points = assert_complete(project)
    assert points >= 4 * 400
    with capsys.disabled():
        print(f"\n4 runs, {points} points in all, trained and mirrored in {seconds:.0f} s")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the store against reading and writing."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        yield


def usual_seconds(prefix: list[str] | None = None) -> float:
    """The seconds of an untracked training."""
    begun = time.monotonic()
    assert piecewise("train", *EMBEDDED_TINY, "tracking=none", prefix=prefix).returncode == 0
    return time.monotonic() - begun


def assert_trains_as_usual(project: Project, usual: float, prefix: list[str] | None = None) -> None:
    """Train with a broken store. Asserts the same weights, one warning, and little extra time."""
    begun = time.monotonic()
    trained = piecewise("train", *EMBEDDED_TINY, prefix=prefix)
    assert time.monotonic() - begun < 2 * usual + EXTRA_SECONDS
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr.startswith("warning: not in MLflow: sqlite:///mlflow.db: ")
    assert trained.stderr.count("\n") == 1, trained.stderr
    assert "piecewise sync" in trained.stderr
    digests = [read_result(folder)["weights_digest"] for folder in all_runs(project)]
    assert digests == digests[:1] * 2


def test_a_store_locked_for_a_minute_disturbs_no_training_and_loses_no_point(project: Project) -> None:
    usual = usual_seconds()
    prepare(project)
    with locked(project / "mlflow.db"):
        begun = time.monotonic()
        assert_trains_as_usual(project, usual)
        synced = piecewise("sync")
        assert (synced.returncode, synced.stderr) == (
            75,
            "error: sqlite:///mlflow.db: another process is writing to it\n",
        )
        time.sleep(max(0.0, 60 - (time.monotonic() - begun)))
    assert piecewise("sync").returncode == 0
    assert assert_complete(project) > 0


def test_a_read_only_store_disturbs_no_training_and_gives_one_warning(project: Project) -> None:
    prefix = AS_ORDINARY_USER if os.geteuid() == 0 else []
    if prefix and shutil.which("setpriv") is None:
        pytest.skip("root may write to any file here: there is no setpriv")
    usual = usual_seconds(prefix)
    prepare(project)
    (project / "mlflow.db").chmod(0o444)
    assert_trains_as_usual(project, usual, prefix)
    synced = piecewise("sync", prefix=prefix)
    message = (
        "error: sqlite:///mlflow.db: mlflow.db: it may not be written; chmod u+w mlflow.db*, then piecewise sync\n"
    )
    assert (synced.returncode, synced.stderr) == (1, message)
    (project / "mlflow.db").chmod(0o600)
    assert piecewise("sync", prefix=prefix).returncode == 0
    assert assert_complete(project) > 0


def test_a_store_without_disk_space_is_built_by_a_later_sync(tiny_job: Job, project: Project) -> None:
    train(tiny_job, RunFolder.at(project / "runs" / "one"))
    synced = piecewise("sync", prefix=["prlimit", "--fsize=300000"])
    assert synced.returncode == 1
    assert synced.stderr.startswith("error: sqlite:///mlflow.db: its disk is full; make room (piecewise clean")
    assert len(synced.stderr.splitlines()) == 1
    assert not (project / "mlflow.db").exists()
    assert piecewise("sync").returncode == 0
    assert assert_complete(project) > 0


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=False).returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def test_full_disk_under_the_store(plan: object, project: Project, tmp_path: Path) -> None:
    """The disk has room for a store, but not for its WAL file during a long history."""
    disk = tmp_path / "disk"
    with small_disk(disk, "1500k"):
        (project / "mlflow.db").symlink_to(disk / "store.db")
        prepare(project)
        options = ["log_every_n_steps=1", "trainer.max_epochs=400", "data.num_train=40", "data.num_test=20"]
        trained = piecewise("train", *options, "batch_size=10")
        assert trained.returncode == 0, trained.stderr
        synced = piecewise("sync")
        assert synced.returncode == 1
        assert synced.stderr.startswith("error: sqlite:///mlflow.db: its disk is full; make room")
        assert len(synced.stderr.splitlines()) == 1
        subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
        again = piecewise("sync")
        assert again.returncode == 0, again.stderr
        assert assert_complete(project) > 1600
