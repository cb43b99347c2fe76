"""What a command prints as jobs end, and when no other job starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from piecewise import stopping
from piecewise.errors import NonFiniteLoss
from piecewise.execution.executors.contract import FAILED, FINISHED, KILLED, Outcome
from piecewise.execution.listening import Listening
from piecewise.execution.pack import Pack
from piecewise.jobs.job import Job
from slot_jobs import make_packs


@pytest.fixture
def packs(tmp_path: Path, composed_tiny_job: Job, monkeypatch: pytest.MonkeyPatch) -> list[Pack]:
    monkeypatch.setattr(stopping._State, "is_signalled", False)
    return make_packs(tmp_path, composed_tiny_job, ["finish"] * 5, [0.0] * 5)


def test_an_error_is_told_once_with_the_job(packs: list[Pack], capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[int] = []
    listening = Listening(lambda pack, _: shown.append(pack.number))
    listening.ended(packs[0], Outcome(FINISHED))
    listening.ended(packs[1], Outcome(FAILED, message="the loss is nan", exit_code=3))
    listening.ended(packs[2], Outcome(KILLED, message="its process was ended by SIGKILL", exit_code=75))
    assert shown == [0]
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"error: {packs[1].job.title}: the loss is nan"
    assert second == f"error: {packs[2].job.title}: its process was ended by SIGKILL"
    assert isinstance(listening.errors[0], NonFiniteLoss)
    assert [error.exit_code for error in listening.errors] == [3, 75]
    assert all(error.is_reported for error in listening.errors)


def test_a_job_that_the_users_signal_stopped_is_no_error(
    packs: list[Pack], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command itself says that it was stopped."""
    monkeypatch.setattr(stopping._State, "is_signalled", True)
    listening = Listening(lambda *_: None)
    listening.ended(packs[0], Outcome(KILLED, message="stopped by SIGINT", exit_code=130))
    assert capsys.readouterr().err == ""
    assert listening.errors == []


@pytest.mark.parametrize(("on_error", "num"), [("continue", 5), ("stop", 2), ("stop_after:1", 2), ("stop_after:3", 4)])
def test_no_other_job_starts_after_so_many_errors(packs: list[Pack], on_error: str, num: int) -> None:
    """Every job but the first fails."""
    listening, started = Listening(lambda *_: None, on_error=on_error), 0
    for pack in listening.until_stopped(packs):
        listening.ended(pack, Outcome(FAILED if started else FINISHED, exit_code=1))
        started += 1
    assert started == num
