"""How ranks end, with a shell script in their place."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.errors import PiecewiseError, TryAgain
from piecewise.runs.ranks import REQUEST, run_ranks
from piecewise.stopping import Stopped

Script = Callable[[str], Path]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """`script(text)` is run instead of `python -m piecewise.worker JOB`; returns its folder."""

    def write(text: str) -> Path:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
        path.chmod(0o700)
        monkeypatch.setattr("sys.executable", str(path))
        return tmp_path

    return write


def test_ranks_are_asked_through_file_and_environment(script: Script) -> None:
    place = script(f'echo "$@" "${REQUEST}" > said')
    run_ranks(Path("job.json"), "the request")
    assert (place / "said").read_text() == "-m piecewise.worker job.json the request\n"


@pytest.mark.parametrize("status", [1, 2, 3])
def test_the_exit_code_of_the_ranks_is_the_jobs(script: Script, status: int) -> None:
    script(f"exit {status}")
    with pytest.raises(PiecewiseError, match=f"exit code {status}") as failed:
        run_ranks(Path("job.json"), "")
    assert failed.value.exit_code == status


def test_a_lost_rank_can_be_tried_again_and_leaves_no_other(script: Script) -> None:
    place = script("sleep 60 & echo $! > other; kill -9 $$")
    with pytest.raises(TryAgain, match="the ranks were lost: signal SIGKILL") as lost:
        run_ranks(Path("job.json"), "")
    assert lost.value.exit_code == 75
    _wait_until_gone(int((place / "other").read_text()))


def test_a_signal_is_handed_on_once_and_waited_for(script: Script) -> None:
    place = script("trap 'echo told >> said; exit 143' TERM; echo ready > ready; while true; do sleep 0.05; done")
    threading.Thread(target=_send_when, args=(place / "ready",)).start()
    with pytest.raises(Stopped) as stopped:
        run_ranks(Path("job.json"), "")
    assert stopped.value.code == 143
    assert (place / "said").read_text() == "told\n"


def _send_when(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)
