"""Following a project with many ended runs reads none of their journals, and looks into none of their folders."""

from __future__ import annotations

import os

import pytest

from many_runs import make_runs, write_journal
from opened_files import opened_journals
from piecewise.durable import write_json
from piecewise.journal.find import run_folders
from piecewise.journal.run_folder import RunFolder, all_runs
from piecewise.journal.writer import Journal, end_journals
from piecewise.project import Project
from piecewise.tracking.sync.sync_runs import change_stamp


def stamps(project: Project) -> dict[RunFolder, tuple[int, ...] | None]:
    return {folder: change_stamp(folder, is_ended) for folder, is_ended in run_folders(project).items()}


@pytest.fixture
def ended(project: Project) -> Project:
    make_runs(project.runs, 20)
    make_runs(project.runs, 20, sweeps_of=10)
    end_journals(project)
    return project


def test_stamps_of_ended_runs_need_no_journal_and_no_listing_of_their_folders(
    ended: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[object] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda place=".": listed.append(place) or scandir(place))
    with opened_journals() as opened:
        found = stamps(ended)
    assert (len(found), opened) == (42, [])
    assert None not in found.values()
    assert len(listed) <= 4  # runs/, and the places of the pipeline
    going_on = write_journal(ended.runs / "new", "new", 9.0, is_over=False)
    with opened_journals() as opened:
        assert stamps(ended)[RunFolder.at(going_on.parent)] is None
    assert {*opened} == {str(going_on)}
    assert set(stamps(ended)) == set(all_runs(ended))


def test_every_change_of_an_ended_run_is_noticed(ended: Project) -> None:
    before = stamps(ended)
    solo, job = (
        RunFolder.at(ended.runs / name) for name in ("20260101-000003-bbbbbb-fit", "20260101-000000-aaaaaa-fit/0003")
    )
    sweep = RunFolder.at(ended.runs / "20260101-000001-aaaaaa-fit")
    write_json(solo.metrics, {"test/nll": 1.0})  # it was evaluated
    write_json(job.figures / "drawn.svg", {})
    with Journal(sweep.children[0]) as journal:
        journal.resume()
    after = stamps(ended)
    changed = {folder for folder in after if before[folder] != after[folder]}
    assert changed == {solo, job, sweep, RunFolder.at(sweep.children[0].parent)}
    assert after[RunFolder.at(sweep.children[0].parent)] is None


def test_the_index_says_which_runs_have_ended(ended: Project) -> None:
    going_on = write_journal(ended.runs / "new", "new", 9.0, is_over=False)
    found = run_folders(ended)
    assert [folder.journal for folder, is_ended in found.items() if not is_ended] == [going_on]
    assert len(found) == 43
    with Journal(ended.runs / "20260101-000003-bbbbbb-fit" / "journal.jsonl"):
        assert list(run_folders(ended).values()).count(False) == 2
