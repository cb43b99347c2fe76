"""The ledger of a sweep, and what another process sees of the sweep in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.commands import watch
from piecewise.errors import BadInput, TryAgain
from piecewise.execution.executors.contract import FAILED, FINISHED, Outcome
from piecewise.execution.ledger import LEDGER, REUSED, Ledger, Planned, Record, begun
from piecewise.execution.status_changes import StatusChanges
from piecewise.execution.sweep import Sweep
from piecewise.execution.sweep_status import SweepStatus, age, lines, summary
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.processes import this_process
from piecewise.project import Project
from small_project import TINY

Plan = Callable[..., list[Job]]
HEAD = {"id": "s", "name": "fit", "key": "k", "results": "r", "command": "piecewise train"}


def written(path: Path, count: int = 3) -> Ledger:
    with begun(
        path, HEAD, [Planned(number, f"fit seed={number}", f"id{number}", f"key{number}") for number in range(count)]
    ):
        assert not path.exists()  # a killed process leaves all of the plan, or nothing
    return Ledger(path)


def test_a_ledger_is_read_back(tmp_path: Path) -> None:
    with written(tmp_path / LEDGER) as ledger:
        ledger.started(0, "0000.json", 1, this_process())
        ledger.ended(0, Outcome(FAILED, message="no memory", exit_code=1))
        ledger.started(0, "0000.json", 2, this_process())
        ledger.ended(0, Outcome(FINISHED, {"test/nll": 0.5}, 0.25))
        ledger.started(1, "0001.json", 1, this_process())
        ledger.ended(2, Outcome(REUSED, {"test/nll": 1.5}, 1.0), RunFolder.at(tmp_path / "other"))
    record = Record.read(tmp_path / LEDGER)
    assert {key: record.head[key] for key in HEAD} == HEAD
    first, second, third = record.entries
    assert (first.attempts, first.state, first.metrics, first.val_nll) == (2, FINISHED, {"test/nll": 0.5}, 0.25)
    assert first.message == ""
    assert (second.attempts, second.state, second.process) == (1, None, this_process())
    assert third.reused is not None
    assert RunFolder.from_text(third.reused) == RunFolder.at(tmp_path / "other")
    assert third.planned == Planned(2, "fit seed=2", "id2", "key2")


def test_a_follower_reads_only_what_was_added(tmp_path: Path) -> None:
    record = Record()
    with written(tmp_path / LEDGER) as ledger:
        record.follow(tmp_path / LEDGER)
        read = record.position
        ledger.started(1, "0001.json", 1, this_process())
        record.follow(tmp_path / LEDGER)
    assert 0 < read < record.position == (tmp_path / LEDGER).stat().st_size
    assert [entry.attempts for entry in record.entries] == [0, 1, 0]


def test_one_process_at_a_time_writes_it(tmp_path: Path) -> None:
    with written(tmp_path / LEDGER), pytest.raises(TryAgain, match="is being written"):
        Ledger(tmp_path / LEDGER)


def test_an_empty_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / LEDGER).touch()
    with pytest.raises(BadInput, match="is empty"):
        Record.read(tmp_path / LEDGER)


@pytest.fixture
def sweep(plan: Plan, project: Project) -> Sweep:
    """A sweep of four jobs: one finished, one failed, one that runs, one that waits."""
    jobs = plan("-m", *TINY, "seed=range(0,4)")
    made = Sweep.new(jobs, ["a", "b", "c", "d"], ["-m", *TINY, "seed=range(0,4)"])
    with Journal(made.folders.parent.journal) as journal:
        journal.start(id=made.id, name="fit", title="fit sweep of 4", num_jobs=4, process=this_process().as_dict())
    with Ledger(made.ledger) as ledger:
        for number in range(3):
            ledger.started(number, f"{number:04d}.json", 1, this_process())
        ledger.ended(0, Outcome(FINISHED, {"test/nll": 0.5}, 0.25))
        ledger.ended(1, Outcome(FAILED, message="the loss is nan"))
    with Journal(made.folders.jobs[2].journal) as journal:
        journal.start(id=made.record.entries[2].planned.run_id, name="fit", title="fit", steps_planned=8)
        journal.metrics(5, {"train/nll": 1.0})
    return made.now()


def test_another_process_sees_how_far_a_sweep_is(sweep: Sweep) -> None:
    status = SweepStatus(sweep.folders.root)
    with Ledger(sweep.ledger):
        status.look()
    assert status.is_alive
    assert dict(status.counts) == {"finished": 1, "failed": 1, "running": 1, "waiting": 1}
    text = "\n".join(lines(status))
    assert "best     curve_1d-shallow" in text
    assert "val/nll 0.25" in text
    assert "step 5 of 8" in text
    assert "the loss is nan" in text
    assert re.search(r"4 jobs: .* runs/.* left", summary(status))
    assert age(status) == "began 0 s ago, runs now"


def test_plain_lines_tell_changes_a_new_best_job_and_after_a_minute_the_steps(sweep: Sweep) -> None:
    status, titles = SweepStatus(sweep.folders.root), [job.title for job in sweep.jobs]
    with Ledger(sweep.ledger) as ledger:
        status.look()
        changes = StatusChanges(status)
        counts, best = changes.lines(0.0)
        assert counts.startswith("4 jobs: 1 finished, 1 running, 1 failed, 1 waiting")
        assert best == f"best  {titles[0]}  val/nll 0.25"
        assert changes.lines(59.0) == []
        counts, running = changes.lines(60.0)
        assert running == f"running  {titles[2]}  step 5 of 8"
        for number, nll, told in ((3, 0.5, []), (2, 0.125, [f"best  {titles[2]}  val/nll 0.125"])):
            ledger.ended(number, Outcome(FINISHED, {}, nll))
            status.look()
            counts, *best = changes.lines(61.0)
            assert counts.startswith("4 jobs: ")
            assert best == told
        assert changes.lines(120.9) == []
        (counts,) = changes.lines(121.0)  # no job runs
        assert counts.startswith("4 jobs: 3 finished, 1 failed")


def test_watch_redraws_what_fits_on_the_screen(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    height, screens = 4, []
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", str(height))

    def next_second(seconds: float) -> None:
        screens.append(capsys.readouterr().out)
        if len(screens) == 1:
            ledger.ended(2, Outcome(FINISHED, {}, 0.125))
        else:
            status.is_alive = False

    status = SweepStatus(sweep.folders.root)
    with Ledger(sweep.ledger) as ledger, monkeypatch.context() as patch:
        status.look()
        patch.setattr(time, "sleep", next_second)
        patch.setattr(status, "look", lambda: status.is_alive and SweepStatus.look(status))
        watch._redraw(status)
    first, second = (screen.splitlines() for screen in screens)
    assert first[0] == "4 jobs: 1 finished, 1 running, 1 failed, 1 waiting"[:20]
    assert second[0] == f"\x1b[{len(first)}F\x1b[J" + "4 jobs: 2 finished, 1 failed, 1 waiting"[:20]
    assert len(first) == len(second) == height - 1
    assert {len(line) for line in first} == {20}


def test_failed_jobs_do_not_say_how_long_the_others_take(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    status = SweepStatus(sweep.folders.root)
    with Ledger(sweep.ledger) as ledger:
        for number in (0, 3):
            ledger.started(number, f"{number:04d}.json", 2, this_process())
        ledger.ended(3, Outcome(FAILED, message="the loss is nan"))
        status.look()
        assert status.rate() is None  # two have failed, and none has finished
        assert summary(status) == "4 jobs: 2 running, 2 failed"
        ledger.ended(0, Outcome(FINISHED, {}, 0.25))
        status.look()
    began = min(entry.started or 0.0 for entry in status.record.entries)
    monkeypatch.setattr(time, "time", lambda: began + 30)
    assert status.rate() == pytest.approx(1 / 30)
    assert summary(status) == "4 jobs: 1 finished, 1 running, 2 failed, 2 runs/min, 30 s left"


def test_without_a_process_nothing_runs(sweep: Sweep) -> None:
    status = SweepStatus(sweep.folders.root)
    status.look()
    assert not status.is_alive
    assert status.counts["interrupted"] == 1
    assert " left" not in summary(status)
    assert age(status) == "began 0 s ago, was interrupted"


@pytest.mark.parametrize(("state", "word"), [("FINISHED", "ended"), ("FAILED", "ended"), ("KILLED", "was stopped")])
def test_what_is_over_says_since_when(sweep: Sweep, monkeypatch: pytest.MonkeyPatch, state: str, word: str) -> None:
    with Journal(sweep.folders.parent.journal) as journal:
        journal.end(state)
    status, now = SweepStatus(sweep.folders.root), time.time()
    status.look()
    monkeypatch.setattr(time, "time", lambda: now + 7200)
    assert age(status) == f"began 2 h 0 min ago, {word} 2 h 0 min ago"


def test_the_journal_decides_where_the_ledger_is_silent(sweep: Sweep) -> None:
    assert sweep.states() == [None, FAILED, None, None]  # the first one's files are gone: it runs again
    with Journal(sweep.folders.jobs[2].journal) as journal:
        journal.end("FAILED", reason="its disk was full")
    assert sweep.states()[2] == FAILED
    with Ledger(sweep.ledger) as ledger:
        sweep.write_missing_ends(ledger)
    assert (sweep.record.entries[2].state, sweep.record.entries[2].message) == (FAILED, "its disk was full")
