"""When the mirror opens a store and with which priority: training has the processors first."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import psutil
import pytest

from piecewise.jobs.job import Job
from piecewise.journal.folder import RunFolder
from piecewise.runs import follower
from piecewise.runs.background import BackgroundMirror
from piecewise.runs.follower import OPENING, Follower
from piecewise.runs.train import train
from piecewise.tracking.store import EMBEDDED
from running_server import wait_for
from servers import free_port

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def measured(tiny_job: Job, project: Path) -> RunFolder:
    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder)
    return folder


def test_mirror_stands_behind_training_and_its_end_does_not(project: Path) -> None:
    """In the same session: between two of them no niceness counts."""
    mirror = BackgroundMirror(EMBEDDED, [RunFolder.at(project / "runs" / "one")])
    assert mirror._process is not None
    number = mirror._process.pid
    assert (os.getsid(number), os.getpgid(number)) == (os.getsid(0), number)
    threads = Path(f"/proc/{number}/task")
    wait_for(lambda: OPENING in {niceness(int(one.name)) for one in threads.iterdir()}, "nice")
    assert niceness(number) == niceness(0)
    mirror.close(at_once=True)


def niceness(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


@pytest.mark.parametrize(("busy", "patience", "waits"), [(40, 60.0, False), (100, 60.0, True), (100, 0.05, False)])
def test_store_is_opened_when_a_processor_is_spare_or_the_training_is_long(
    measured: RunFolder, monkeypatch: pytest.MonkeyPatch, busy: float, patience: float, waits: bool
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda: busy)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 1)
    monkeypatch.setattr(follower, "PATIENCE", patience)
    assert is_waiting(Follower(EMBEDDED, [measured]), monkeypatch) is waits


def test_store_is_not_opened_before_anything_was_measured(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "PATIENCE", 0.0)
    assert is_waiting(Follower(EMBEDDED, [RunFolder.at(project / "runs" / "one")]), monkeypatch)


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
    one = Follower(uri, [measured])
    monkeypatch.setattr(one, "_open", lambda: pytest.fail("opened"))
    one._look()
    one._look()
    assert capsys.readouterr().err.count(f"{uri}: it cannot be reached") == 1
    assert one._backoff.failures == 2
