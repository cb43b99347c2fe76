"""When the mirror opens a store and with which priority: training has the processors first."""

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
from piecewise.tracking.store.open import EMBEDDED
from piecewise.tracking.sync import follower
from piecewise.tracking.sync.background import BackgroundMirror
from piecewise.tracking.sync.follower import FOLLOWING, OPENING, Follower
from running_server import wait_for
from servers import free_port

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def measured(tiny_job: Job, project: Project) -> RunFolder:
    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder)
    return folder


def test_mirror_stands_behind_training_and_its_end_does_not(project: Project) -> None:
    """In the same session: between two of them no niceness counts."""
    mirror = BackgroundMirror(EMBEDDED, [RunFolder.at(project / "runs" / "one")])
    assert mirror._process is not None
    number = mirror._process.pid
    assert (os.getsid(number), os.getpgid(number)) == (os.getsid(0), number)
    threads = Path(f"/proc/{number}/task")
    wait_for(lambda: niceness(0) + OPENING in {niceness(int(one.name)) for one in threads.iterdir()}, "nice")
    assert niceness(number) == niceness(0)
    mirror.close(at_once=True)


def niceness(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


@pytest.mark.parametrize(("spare", "patience", "waits"), [(0.6, 60.0, False), (0.4, 60.0, True), (0.4, 0.05, False)])
def test_store_is_opened_when_a_processor_is_spare_or_the_training_is_long(
    tiny_job: Job, project: Project, monkeypatch: pytest.MonkeyPatch, spare: float, patience: float, waits: bool
) -> None:
    monkeypatch.setattr(follower, "_spare", lambda: spare)
    monkeypatch.setattr(follower, "PATIENCE", patience)
    folder = RunFolder.at(project / "runs" / "one")
    one = Follower(EMBEDDED, {folder: 0})
    train(tiny_job, folder)
    assert is_waiting(one, monkeypatch) is waits


@pytest.mark.parametrize(("usable", "spare"), [({0}, 0.1), ({0, 2}, 1.0), ({0, 1, 2, 3}, 1.5)])
def test_spare_are_only_processors_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, usable: set[int], spare: float
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda percpu: [90.0, 50.0, 10.0, 100.0])
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: usable)
    assert follower._spare() == pytest.approx(spare)


def test_a_followed_store_is_given_less_than_one_that_is_opened(
    measured: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(follower, "_put_behind", given.append)
    one = Follower(EMBEDDED, {measured: 0})
    monkeypatch.setattr(one, "_open", lambda: Fake({}))
    monkeypatch.setattr(one, "_wait_for_turn", lambda: None)
    monkeypatch.setattr(one, "over", SimpleNamespace(wait=lambda seconds: len(given) == 2))
    one._follow_live()
    assert given == [OPENING, FOLLOWING]


class Fake:
    """A mirror to whom some runs cannot be brought."""

    def __init__(self, wrong: dict[RunFolder, Exception]) -> None:
        self.wrong = wrong
        self.pushed: list[RunFolder] = []
        self.asked: list[RunFolder] = []

    def push_live(self, folder: RunFolder) -> bool:
        self.asked.append(folder)
        if folder in self.wrong:
            raise self.wrong[folder]
        self.pushed.append(folder)
        return False


def test_a_run_that_cannot_be_followed_keeps_no_other_back(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = (RunFolder.at(project / "runs" / name) for name in ("bad", "good"))
    one = Follower(EMBEDDED, {bad: 0, good: 0})
    fake = Fake({bad: BadInput("it is damaged")})
    monkeypatch.setattr(one, "_open", lambda: fake)
    for _ in range(3):
        one._look()
    assert (fake.pushed, fake.asked, one._backoff.failures) == ([good] * 3, [bad, good, good, good], 0)
    monkeypatch.setattr(follower, "REST", 0.0)
    one._rests[bad] = 0.0
    one._look()
    fake.wrong.clear()
    one._look()
    assert fake.pushed[-2:] == [bad, good]  # it is tried again
    assert capsys.readouterr().err.count("it is damaged; piecewise sync brings the rest") == 1


def test_a_store_that_is_back_is_followed_again(measured: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Follower(EMBEDDED, {measured: 0})
    fake = Fake({measured: TryAgain("it cannot be reached")})
    monkeypatch.setattr(one, "_open", lambda: fake)
    one._look()
    assert (one.live, one._backoff.failures) == ([measured], 1)
    fake.wrong.clear()
    one._look()
    assert (fake.pushed, one._backoff.failures) == ([measured], 0)


def test_a_mirror_that_cannot_be_started_costs_no_training(
    tiny_job: Job, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", fail)
    mirror = BackgroundMirror(EMBEDDED, [RunFolder.at(project / "runs" / "one")])
    assert mirror.close() is False
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("warning: not in MLflow: no process can be started")


def test_store_is_not_opened_before_anything_was_measured(
    measured: RunFolder, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run that goes on: before anything more was."""
    monkeypatch.setattr(follower, "PATIENCE", 0.0)
    assert is_waiting(Follower(EMBEDDED, {RunFolder.at(project / "runs" / "another"): 0}), monkeypatch)
    goes_on = Follower(EMBEDDED, {measured: measured.journal.stat().st_size})
    assert is_waiting(goes_on, monkeypatch)
    goes_on.over.clear()
    with Journal(measured.journal) as journal:
        journal.resume()
        journal.metrics(8, {"train/nll": 1.0})
    assert not is_waiting(goes_on, monkeypatch)


def is_waiting(one: Follower, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Still, after a while; told then that the training is over, which ends every wait."""
    monkeypatch.setattr(follower, "INTERVAL", 0.01)
    thread = threading.Thread(target=one._wait_for_turn)
    thread.start()
    thread.join(0.5)
    was_waiting = thread.is_alive()
    one.over.set()
    thread.join()
    return was_waiting


def test_server_that_is_not_there_costs_no_import_of_mlflow(
    measured: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    one = Follower(uri, {measured: 0})
    monkeypatch.setattr(one, "_open", lambda: pytest.fail("opened"))
    one._look()
    one._look()
    assert capsys.readouterr().err.count(f"{uri}: it cannot be reached") == 1
    assert one._backoff.failures == 2
