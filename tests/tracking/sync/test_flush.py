"""The follower's last push. The command waits for it."""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.sync import follower as module
from piecewise.tracking.sync import sync_runs
from piecewise.tracking.sync.background import INCOMPLETE
from piecewise.tracking.sync.follower import Follower
from piecewise.tracking.sync.sync_runs import SyncResult
from piecewise.tracking.tags import RUN_ID
from small_project import TINY

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
    monkeypatch.setattr(module, "FLUSH_SECONDS", 1.0)
    monkeypatch.setattr(os, "_exit", lambda status: has_exited.set() if status == INCOMPLETE else None)
    follower = Follower(EMBEDDED, {trained: 0})
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
    assert f"{EMBEDDED}: it takes longer than 1 s; piecewise sync brings the rest" in capsys.readouterr().err
