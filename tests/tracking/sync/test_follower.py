"""When the follower opens a store, at which priority, and what it does when runs or stores fail."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from piecewise.errors import BadInput, TryAgain
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.sync import follower as module
from piecewise.tracking.sync import priority
from piecewise.tracking.sync.background import BackgroundMirror
from piecewise.tracking.sync.follower import FOLLOWING_NICENESS, OPENING_NICENESS, Follower
from running_server import wait_for
from servers import free_port

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def trained(tiny_job: Job, project: Project) -> RunFolder:
    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder)
    return folder


@pytest.mark.slow
def test_the_live_thread_is_nicer_than_training_in_its_session(project: Project) -> None:
    """Linux compares niceness only within a session. The main thread, which sends the rest, is as nice as training."""
    mirror = BackgroundMirror(EMBEDDED, [RunFolder.at(project / "runs" / "one")])
    assert mirror._process is not None
    number = mirror._process.pid
    assert (os.getsid(number), os.getpgid(number)) == (os.getsid(0), number)
    threads = Path(f"/proc/{number}/task")
    nicer = niceness(0) + OPENING_NICENESS
    wait_for(lambda: nicer in {niceness(int(path.name)) for path in threads.iterdir()}, "a nicer thread")
    assert niceness(number) == niceness(0)
    mirror.close(at_once=True)


def niceness(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


@pytest.mark.parametrize(("idle", "wait", "opens_store"), [(0.6, 60.0, True), (0.4, 60.0, False), (0.4, 0.05, True)])
def test_a_store_is_opened_when_a_core_is_idle_or_the_training_is_long(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch, idle: float, wait: float, opens_store: bool
) -> None:
    monkeypatch.setattr(module, "idle_cores", lambda: idle)
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", wait)
    assert opens(Follower(EMBEDDED, {trained: 0}), monkeypatch) is opens_store


@pytest.mark.parametrize(("usable", "idle"), [({0}, 0.1), ({0, 2}, 1.0), ({0, 1, 2, 3}, 1.5)])
def test_only_cores_that_may_be_used_count_as_idle(
    monkeypatch: pytest.MonkeyPatch, usable: set[int], idle: float
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda percpu: [90.0, 50.0, 10.0, 100.0])
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: usable)
    assert priority.idle_cores() == pytest.approx(idle)


def test_following_a_store_is_nicer_than_opening_it(trained: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []
    monkeypatch.setattr(module, "lower_priority", added.append)
    follower = Follower(EMBEDDED, {trained: 0})
    monkeypatch.setattr(follower, "_open", lambda: FakeMirror({}))
    monkeypatch.setattr(follower, "_wait_for_idle_core", lambda: None)
    monkeypatch.setattr(follower, "is_over", SimpleNamespace(wait=lambda seconds: len(added) == 2))
    follower._follow_live()
    assert added == [OPENING_NICENESS, FOLLOWING_NICENESS]


class FakeMirror:
    """A mirror that fails for some runs."""

    def __init__(self, errors: dict[RunFolder, Exception]) -> None:
        self.errors = errors
        self.pushed: list[RunFolder] = []
        self.tried: list[RunFolder] = []

    def push_live(self, folder: RunFolder) -> bool:
        self.tried.append(folder)
        if folder in self.errors:
            raise self.errors[folder]
        self.pushed.append(folder)
        return False


def test_a_run_that_fails_does_not_stop_the_others(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = (RunFolder.at(project / "runs" / name) for name in ("bad", "good"))
    for folder in (bad, good):
        folder.journal.parent.mkdir(parents=True)
    follower = Follower(EMBEDDED, {bad: 0, good: 0})
    fake = FakeMirror({bad: BadInput("it is damaged")})
    monkeypatch.setattr(follower, "_open", lambda: fake)
    for _ in range(3):
        follower._update()
    assert (fake.pushed, fake.tried, follower._backoff.failures) == ([good] * 3, [bad, good, good, good], 0)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    follower._next_try[bad] = 0.0
    follower._update()
    fake.errors.clear()
    follower._update()
    assert fake.pushed[-2:] == [bad, good]
    assert capsys.readouterr().err.count("it is damaged; piecewise sync brings the rest") == 1


def test_a_store_that_answers_again_is_followed_again(trained: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(EMBEDDED, {trained: 0})
    fake = FakeMirror({trained: TryAgain("it cannot be reached")})
    monkeypatch.setattr(follower, "_open", lambda: fake)
    follower._update()
    assert (follower.live, follower._backoff.failures) == ([trained], 1)
    fake.errors.clear()
    follower._update()
    assert (fake.pushed, follower._backoff.failures) == ([trained], 0)


def test_training_goes_on_if_no_process_can_be_started(
    tiny_job: Job, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", fail)
    mirror = BackgroundMirror(EMBEDDED, [RunFolder.at(project / "runs" / "one")])
    mirror.close()
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("warning: not in MLflow: no process can be started")


def test_a_store_is_opened_after_the_first_new_metric(
    trained: RunFolder, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 0.0)
    assert not opens(Follower(EMBEDDED, {RunFolder.at(project / "runs" / "another"): 0}), monkeypatch)
    resumed = Follower(EMBEDDED, {trained: trained.journal.stat().st_size})
    assert not opens(resumed, monkeypatch)
    resumed.is_over.clear()
    with Journal(trained.journal) as journal:
        journal.resume()
        journal.metrics(8, {"train/nll": 1.0})
    assert opens(resumed, monkeypatch)


def opens(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the follower opens its store within half a second. Ends its training afterwards."""
    opened = threading.Event()
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(follower, "_update", opened.set)
    follower._backoff.every = 0.01
    thread = threading.Thread(target=follower._follow_live)
    thread.start()
    has_opened = opened.wait(0.5)
    follower.is_over.set()
    thread.join()
    return has_opened


def test_the_store_of_an_unreachable_server_is_not_opened(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Opening it would import MLflow."""
    uri = f"http://127.0.0.1:{free_port()}"
    follower = Follower(uri, {trained: 0})
    monkeypatch.setattr(follower, "_open", lambda: pytest.fail("opened"))
    follower._update()
    follower._update()
    assert capsys.readouterr().err.count(f"{uri}: it cannot be reached") == 1
    assert follower._backoff.failures == 2
