"""The finished runs by run key: what a sweep need not train again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from many_runs import make_runs, write_journal
from opened_files import opened_journals
from piecewise.journal.finished import by_run_key
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal, end_journals
from piecewise.manifest import MANIFEST
from piecewise.processes import this_process
from piecewise.project import Project


def make_whole(journal: Path) -> None:
    """Give the run the files that a finished training leaves."""
    folder = RunFolder.at(journal.parent)
    folder.training.mkdir(parents=True, exist_ok=True)
    for path in (journal.parent / MANIFEST, folder.result, folder.weights):
        path.write_text("{}")


def test_every_finished_run_is_found_by_its_run_key(project: Project) -> None:
    make_runs(project.runs, 3)
    make_runs(project.runs, 4, sweeps_of=2)
    staged = RunFolder.of_stage("fit", "seed=0").journal
    write_journal(staged.parent / "made", "staged", 9.0, run_key="key of staged").rename(staged)
    solo, jobs = [f"solo-{n:06d}" for n in range(3)], [f"job-{n:06d}" for n in range(4)]
    for _ in ("without the index", "with it"):
        found = by_run_key(project)
        assert {key: run.id for key, run in found.items()} == {f"key of {i}": i for i in (*solo, *jobs, "staged")}
        assert found["key of job-000003"].folder == RunFolder.at(project.runs / "20260101-000001-aaaaaa-fit" / "0001")
        end_journals(project)


def test_runs_that_are_not_finished_are_not_found(project: Project) -> None:
    gone = this_process().as_dict() | {"started": 1}
    for name, end in {"failed": {"status": "FAILED"}, "killed": {"status": "KILLED"}, "none": None}.items():
        with Journal(project.runs / name / "journal.jsonl") as journal:
            journal.start(id=name, run_key=name, process=gone)
            if end is not None:
                journal.end(run_key=name, **end)
    assert by_run_key(project) == {}
    end_journals(project)
    assert by_run_key(project) == {}


def test_a_run_that_went_on_with_other_source_has_no_run_key(project: Project) -> None:
    with Journal(project.runs / "mixed" / "journal.jsonl") as journal:
        journal.start(id="mixed", run_key="of the first half", process=this_process().as_dict())
        journal.resume(process=this_process().as_dict(), changed=["source"])
        journal.end("FINISHED", run_key="of the second half")
    assert by_run_key(project) == {}


def test_of_several_the_oldest_that_is_whole_is_found(project: Project) -> None:
    journals = [write_journal(project.runs / f"{n}", f"{n}", float(n), run_key="same") for n in (3, 1, 2, 4)]
    assert by_run_key(project)["same"].id == "4"  # none is whole
    for journal in (journals[0], journals[2]):
        make_whole(journal)
    assert by_run_key(project)["same"].id == "2"


def test_a_damaged_journal_hides_only_its_own_run(project: Project) -> None:
    damaged, _ = make_runs(project.runs, 2)
    damaged.write_bytes(damaged.read_bytes().replace(b"solo", b"solx"))
    assert [*by_run_key(project)] == ["key of solo-000001"]


@pytest.mark.slow
def test_five_thousand_runs_are_looked_up_without_opening_a_journal(project: Project) -> None:
    make_runs(project.runs, 5000, sweeps_of=1000)
    end_journals(project)
    with opened_journals() as opened:
        begun = time.process_time()
        assert len(by_run_key(project)) == 5000
        assert time.process_time() - begun < 1  # 0.15 s on an idle machine
    assert opened == []


@pytest.mark.parametrize("place", ["20260101-000000-bbbbbb-fit", "20260101-000000-aaaaaa-fit/0001"])
def test_a_run_that_trains_again_is_not_found(project: Project, place: str) -> None:
    make_runs(project.runs, 1)
    make_runs(project.runs, 2, sweeps_of=2)
    end_journals(project)
    with Journal(project.runs / place / "journal.jsonl") as journal:
        journal.resume(process=this_process().as_dict())
        assert len(by_run_key(project)) == 2
