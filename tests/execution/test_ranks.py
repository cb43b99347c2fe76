"""How the ranks of a run end; a shell script stands in for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.errors import PiecewiseError, TryAgain
from piecewise.execution.ranks import REQUEST, fate_of_others, is_first_rank, reporting_errors, run_ranks
from piecewise.journal.run_folder import RunFolder
from piecewise.stopping import Stopped

Script = Callable[[str], Path]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """`script(text)` replaces `python -m piecewise.worker JOB` by a shell script, and returns the run's folder."""

    def write(text: str) -> Path:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
        path.chmod(0o700)
        monkeypatch.setattr("sys.executable", str(path))
        return tmp_path

    return write


def test_ranks_get_the_job_file_and_the_request(script: Script) -> None:
    place = script(f'echo "$@" "${REQUEST}" > printed')  # "$PIECEWISE_REQUEST"
    run_ranks(RunFolder.at(place), "the request")
    assert (place / "printed").read_text() == f"-m piecewise.worker {place}/training/job.json the request\n"


def test_ranks_have_their_own_process_group_in_the_same_session(script: Script) -> None:
    """Ctrl-C must reach the ranks only through this process. Linux compares niceness only within a session."""
    place = script('cut -d" " -f1,5,6 /proc/$$/stat > printed')  # process, group, session
    run_ranks(RunFolder.at(place), "")
    number, group, session = (int(word) for word in (place / "printed").read_text().split())
    assert (session, group) == (os.getsid(0), number)


@pytest.mark.parametrize("status", [1, 2, 3])
def test_the_job_ends_with_the_exit_code_of_its_ranks(script: Script, status: int) -> None:
    place = script(f"exit {status}")
    with pytest.raises(PiecewiseError, match=f"exit code {status}") as failed:
        run_ranks(RunFolder.at(place), "")
    assert failed.value.exit_code == status


def test_a_lost_rank_raises_try_again_and_the_others_are_killed(script: Script) -> None:
    place = script("sleep 60 & echo $! > other; kill -9 $$")
    with pytest.raises(TryAgain, match="rank 0 was ended by SIGKILL") as lost:
        run_ranks(RunFolder.at(place), "")
    assert lost.value.exit_code == 75
    _wait_until_gone(int((place / "other").read_text()))


def test_a_signal_is_forwarded_once_and_the_ranks_are_waited_for(script: Script) -> None:
    place = script(
        "trap 'echo signalled >> printed' TERM; echo ready > ready; "
        "while [ ! -e printed ]; do sleep 0.05; done; sleep 0.5; exit 143"
    )
    threading.Thread(target=_send_sigterm_when_exists, args=(place / "ready",)).start()
    with pytest.raises(Stopped) as stopped:
        run_ranks(RunFolder.at(place), "")
    assert stopped.value.code == 143
    assert (place / "printed").read_text() == "signalled\n"


@pytest.mark.parametrize("code", [130, 143])
def test_ranks_stopped_by_a_signal_raise_stopped(script: Script, code: int) -> None:
    place = script(f"exit {code}")
    with pytest.raises(Stopped) as stopped:
        run_ranks(RunFolder.at(place), "")
    assert stopped.value.code == code


def test_the_fate_of_each_rank_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 1 has an error, 3 is killed, 4 frozen, 5 well. Rank 2 only noticed another's end: not named."""
    folder = RunFolder.at(tmp_path)

    def fail(error: Exception) -> None:
        with pytest.raises(type(error)), reporting_errors(folder):
            raise error

    for rank, error in (("1", MemoryError("no room")), ("2", TryAgain("another one was lost"))):
        monkeypatch.setenv("RANK", rank)
        fail(error)
    sleepers = [subprocess.Popen(["sleep", "60"], process_group=0)]
    sleepers += [subprocess.Popen(["sleep", "60"], process_group=sleepers[0].pid) for _ in range(2)]
    try:
        for rank, sleeper in zip((3, 4, 5), sleepers, strict=True):
            (tmp_path / f".rank-{rank}.journal.json").write_text(json.dumps({"pid": sleeper.pid}))
        sleepers[0].kill()
        sleepers[1].send_signal(signal.SIGSTOP)
        _wait_until_gone(sleepers[0].pid)
        expected = "rank 1: MemoryError: no room; rank 3 was ended by SIGKILL; rank 4 is frozen"
        assert fate_of_others(folder, sleepers[0].pid) == expected
        monkeypatch.setattr("piecewise.execution.ranks.DYING_SECONDS", 0)  # without files of ranks nothing is known
        assert fate_of_others(RunFolder.at(tmp_path / "other"), os.getpgrp()) == "a rank was lost"
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


def test_a_rank_that_is_still_dying_is_waited_for(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "60"], process_group=0)
    (tmp_path / ".rank-1.journal.json").write_text(json.dumps({"pid": sleeper.pid}))
    threading.Timer(0.3, sleeper.kill).start()
    try:
        assert fate_of_others(RunFolder.at(tmp_path), sleeper.pid) == "rank 1 was ended by SIGKILL"
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_finished_rank_deletes_the_file_with_its_process_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with reporting_errors(RunFolder.at(tmp_path)):
        (file,) = tmp_path.iterdir()
        assert json.loads(file.read_text()) == {"pid": os.getpid()}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK"])
def test_only_rank_zero_of_node_zero_is_the_first_rank(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert is_first_rank()
    monkeypatch.setenv(name, "0")
    assert is_first_rank()
    monkeypatch.setenv(name, "1")
    assert not is_first_rank()


def _send_sigterm_when_exists(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_until_gone(pid: int) -> None:
    """Wait until a process has ended, or is a zombie."""
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, f"process {pid} is still running"
        time.sleep(0.02)
