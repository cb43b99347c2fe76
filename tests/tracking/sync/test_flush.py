"""The follower's last push. The command waits for it."""

from __future__ import annotations

import io
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.stopping import Stopped
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.sync import background, sync_runs
from piecewise.tracking.sync import follower as module
from piecewise.tracking.sync.background import INCOMPLETE, BackgroundMirror
from piecewise.tracking.sync.follower import Follower
from piecewise.tracking.sync.sync_runs import SyncResult
from piecewise.tracking.sync.waiting import Waiting, WatchedClient
from piecewise.tracking.tags import RUN_ID
from small_project import TINY
from stored_runs import run_of

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def trained(plan: Callable[..., list[Job]], project: Project) -> RunFolder:
    folder = RunFolder.at(project / "runs" / "one")
    train(plan(*TINY, "log_model=none")[0], folder)
    return folder


def test_points_sent_during_training_are_not_sent_again(trained: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was replaced since gets all points."""
    from mlflow import MlflowClient

    sent: list[int] = []
    log_batch = MlflowClient.log_batch

    def count(client: MlflowClient, run: str, metrics: Sequence[Any] = (), **rest: Any) -> Any:
        sent.append(len(metrics))
        return log_batch(client, run, metrics, **rest)

    monkeypatch.setattr(MlflowClient, "log_batch", count)
    follower = Follower(EMBEDDED, {trained: 0})
    follower._update()
    points = sum(sent)
    assert points > 3
    monkeypatch.setattr(follower, "_follow_live", lambda: None)
    follower.is_over.set()
    assert (follower.follow(), sum(sent)) == (0, points)
    (run,) = follower._mirror.client.search_runs(["1"])
    follower._mirror.client.set_tag(run.info.run_id, RUN_ID, "of another store")
    assert (follower.follow(), sum(sent)) == (0, 2 * points)


def test_points_sent_to_one_store_are_not_taken_for_sent_to_a_copy_of_it(trained: RunFolder, project: Project) -> None:
    """A server that is moved by copying its database keeps the ids of its runs."""
    followed: Any = {}
    first = sync_runs.open_mirror(EMBEDDED, followed=followed)
    assert first.push_live(trained) is False
    shutil.copy(project.store, project / "copy.db")
    copy = sync_runs.open_mirror("sqlite:///copy.db", followed=followed)
    copy.push_live(trained)
    assert len(followed) == 2  # the second store was sent all points too


def test_a_failed_live_thread_does_not_start_the_last_push_early(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[float] = []
    monkeypatch.setattr(module, "push_all", lambda *a, **k: pushed.append(time.monotonic()) or SyncResult())
    follower = Follower(EMBEDDED, {trained: 0})
    monkeypatch.setattr(follower, "_follow_live", lambda: None)  # its thread ends at once
    began = time.monotonic()
    threading.Timer(0.3, follower.is_over.set).start()
    assert follower.follow() == 0
    assert pushed[0] - began >= 0.3


def test_the_time_limit_of_the_last_push_includes_opening_the_store(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    may_open, has_exited = threading.Event(), threading.Event()
    opened = SimpleNamespace(tracking_uri="http://example.org")
    monkeypatch.setattr(sync_runs, "open_store", lambda uri, root: opened if may_open.wait(30) else None)
    monkeypatch.setattr(module, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(os, "_exit", lambda status: has_exited.set() if status == INCOMPLETE else None)
    follower = Follower(EMBEDDED, {trained: 0})
    monkeypatch.setattr(follower, "_tell", lambda: None)
    threads = [
        threading.Thread(target=follower._open),
        threading.Thread(target=follower.wait_for_end, args=(io.StringIO(),)),
    ]
    for thread in threads:
        thread.daemon = True
        thread.start()
    assert has_exited.wait(60)
    may_open.set()
    for thread in threads:
        thread.join()
    said = f"{EMBEDDED}: it has not answered for 1 s; piecewise sync brings the rest"
    assert said in capsys.readouterr().err


def test_what_was_not_answered_during_the_training_leaves_time_at_its_end(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(EMBEDDED, {trained: 0})
    follower._waiting._failed = 1000.0
    seen: list[float] = []
    monkeypatch.setattr(module, "_wait_for_silence", lambda waiting, tell: seen.append(waiting.seconds))
    monkeypatch.setattr(os, "_exit", lambda status: None)
    follower.wait_for_end(io.StringIO())
    assert seen == [0.0]


def test_waiting_has_no_limit_while_the_store_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight calls of 0.1 s, and one that is not answered: the limit of 0.3 s counts from the last answer."""
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.3)
    waiting, told, is_over = Waiting(), list[int](), threading.Event()

    def work() -> None:
        for _ in range(8):
            with waiting.call():
                time.sleep(0.1)
        with waiting.call():
            is_over.wait(30)

    thread, began = threading.Thread(target=work), time.monotonic()
    thread.start()
    reason = module._wait_for_silence(waiting, lambda: told.append(waiting.num_answers))
    assert reason == "it has not answered for 0 s"
    assert time.monotonic() - began >= 1.1
    assert (waiting.num_answers, len(told)) == (8, 2)
    is_over.set()
    thread.join()


def test_waiting_ends_if_nothing_happens_or_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise BrokenPipeError

    monkeypatch.setattr(module, "IDLE_SECONDS", 0.3)
    assert module._wait_for_silence(Waiting(), lambda: None) == "nothing has happened for 0 s"
    monkeypatch.setattr(module, "IDLE_SECONDS", 60.0)
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.3)
    began = time.monotonic()
    module._wait_for_silence(Waiting(), fail)
    assert 0.3 <= time.monotonic() - began < 30


LINES = "import time\nfor left in ({}):\n    print(left, flush=True)\n    time.sleep(0.2)\n"


@pytest.mark.parametrize(
    ("code", "is_whole"), [(LINES.format("6, 5, 4, 3, 2, 1"), True), ("import time; time.sleep(60)", False)]
)
def test_a_command_waits_as_long_as_there_are_signs_of_life(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: str, is_whole: bool
) -> None:
    monkeypatch.setattr(background, "SILENT_SECONDS", 0.8)  # the process takes longer
    monkeypatch.setattr(background, "TOLD_SECONDS", (0.3, 60))
    mirror = BackgroundMirror(None, [])
    mirror._process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    mirror.close()
    said = capsys.readouterr()
    assert said.err.count("MLflow does not have everything yet") == (0 if is_whole else 1)
    assert said.out.count("; Ctrl-C leaves them to piecewise sync") == (1 if is_whole else 0)


def test_a_signal_ends_the_waiting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*_: object) -> None:
        raise Stopped(signal.SIGINT)

    mirror = BackgroundMirror(None, [])
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    mirror._process = process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    monkeypatch.setattr(select, "select", stop)
    with pytest.raises(Stopped):
        mirror.close()
    assert process.returncode == -signal.SIGKILL
    assert "piecewise sync brings the rest" in capsys.readouterr().err


def fail_slowly() -> None:
    time.sleep(0.05)
    raise OSError("down")


def test_big_files_and_stores_may_take_longer(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(bytes(1000))
    waiting, seen = Waiting(), list[float]()
    client = WatchedClient(
        SimpleNamespace(
            log_artifact=lambda run, path, place: seen.append(waiting._deadline - time.monotonic()),
            log_model_artifacts=lambda model, path: seen.append(waiting._deadline - time.monotonic()),
            set_tag=lambda *_: seen.append(waiting._deadline - time.monotonic()),
        ),
        waiting,
    )
    client.log_artifact("run", str(tmp_path / "one"), "figures")
    client.log_model_artifacts("model", str(tmp_path))
    client.set_tag("run", str(tmp_path), "x")
    assert seen == [pytest.approx(expected, abs=2e-3) for expected in (0.004, 0.008, 0.0)]
    client = WatchedClient(SimpleNamespace(fail=fail_slowly), waiting)
    with pytest.raises(OSError, match="down"):
        client.fail()
    failed = waiting.seconds
    assert failed >= 0.05
    with waiting.call(expected=60.0):
        assert waiting.seconds == failed
    assert (waiting.seconds, waiting.num_answers) == (0.0, 4)


@pytest.mark.slow
def test_the_process_ends_at_once_and_leaves_the_store_in_one_file(trained: RunFolder, project: Project) -> None:
    """Python would clear up for a second. A write-ahead log that stayed would be lost by who copies the file alone."""
    code = (
        "import atexit, sys; from piecewise.tracking.sync.follower import leave, main\n"
        "atexit.register(print, 'cleared up')\n"
        "leave(main(sys.argv[1]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, EMBEDDED]
    said = subprocess.run(
        command, input=f"0 {trained.as_text()}\n\n", capture_output=True, text=True, check=False, timeout=120
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert "cleared up" not in said.stdout
    assert [path.name for path in project.root.glob("mlflow.db*")] == ["mlflow.db"]
    assert run_of(sync_runs.open_mirror(EMBEDDED).client, trained).info.status == "FINISHED"
