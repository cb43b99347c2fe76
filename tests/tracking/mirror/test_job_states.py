"""The states of a sweep's jobs are followed at a cost that does not grow with the jobs that have finished."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from many_runs import make_runs, write_journal
from piecewise.journal.reader import read_end
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.mirror import job_states
from piecewise.tracking.mirror.job_states import JobStates, NewNames, state_of_sweep

COUNT = 20


@pytest.fixture
def sweep(project: Project) -> RunFolder:
    return RunFolder.at(make_runs(project.runs, COUNT, sweeps_of=COUNT)[0].parent)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The jobs whose journals were looked at in any way, by the names of their folders."""
    names: set[str] = set()
    stat = Path.stat

    def note(path: Path) -> os.stat_result:
        if path.name == "journal.jsonl":
            names.add(path.parent.name)
        return stat(path)

    monkeypatch.setattr(Path, "stat", note)
    return names


def test_a_job_that_has_finished_is_not_looked_at_again(sweep: RunFolder, looked_at: set[str]) -> None:
    states, journal = JobStates(sweep), sweep.journal.parent
    write_journal(journal / "0020", "late", 1.0, is_over=False)
    assert states.update() == ["FINISHED"] * COUNT + [None]
    looked_at.clear()
    with Journal(sweep.children[COUNT]) as late:
        assert states.update() == ["FINISHED"] * COUNT + [None]
        late.end("FAILED")
        write_journal(journal / "0021", "later", 1.0)
        looked_at.clear()
        assert states.update() == ["FINISHED"] * COUNT + ["FAILED", "FINISHED"]
        assert looked_at - {"journal.jsonl"} == {"0020", "0021"}
        late.resume()  # a job that failed may be tried again
        assert states.update() == ["FINISHED"] * COUNT + [None, "FINISHED"]


def test_once_the_sweep_is_over_every_job_counts(sweep: RunFolder) -> None:
    states = JobStates(sweep)
    states.update()
    with Journal(sweep.children[3]) as again:
        again.resume()
    shutil.rmtree(sweep.children[0].parent)
    assert states.update() == ["FINISHED"] * COUNT
    assert states.update(is_over=True) == ["FINISHED"] * 2 + [None] + ["FINISHED"] * (COUNT - 4)


def test_a_journal_of_the_same_size_is_not_read_again(sweep: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(job_states, "read_end", lambda path: read.append(path.parent.name) or read_end(path))
    states = JobStates(sweep)
    states.update()
    assert len(read) == COUNT
    states.update(is_over=True)
    assert len(read) == COUNT


def test_a_sweep_of_the_pipeline_has_states_too(project: Project) -> None:
    live, staged = RunFolder.of_live_stage("fit", "sweep"), RunFolder.of_stage("fit", "sweep")
    for label, end in (("sweep", "FINISHED"), ("seed=0", "FAILED"), ("seed=1", "FINISHED")):
        for kind in (RunFolder.of_live_stage, RunFolder.of_stage):
            with Journal(kind("fit", label).journal) as journal:
                journal.start(id=label, name="fit", title=label)
                journal.end(end)
    assert JobStates(live).update() == JobStates(staged).update() == ["FAILED", "FINISHED"]
    assert state_of_sweep(["FAILED", "FINISHED"], 2) == "FAILED"


def test_a_folder_that_has_not_changed_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    new = NewNames(tmp_path / "sweep")
    assert new.look() == set()
    (tmp_path / "sweep" / "0000").mkdir(parents=True)
    assert new.look() == {"0000"}
    assert new.look() == set()
    assert len(listed) == 2  # it changed just now: the next change may have the same time
    os.utime(tmp_path / "sweep", ns=(0, 10**18))
    for _ in range(3):
        assert new.look() == set()
    assert len(listed) == 3
    (tmp_path / "sweep" / "0001").mkdir()
    assert new.look() == {"0001"}
