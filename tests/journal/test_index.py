"""The index of ended runs: it spares reading their journals, and never hides a run without an end."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from random import Random

import pytest

from many_runs import make_runs, write_journal
from opened_files import opened_journals
from piecewise.cli import main
from piecewise.errors import BadInput, TryAgain
from piecewise.journal import index
from piecewise.journal.find import find_run, known_runs
from piecewise.journal.index import INDEX, unended
from piecewise.journal.reader import read_end, read_journal
from piecewise.journal.run_folder import all_runs
from piecewise.journal.writer import Journal, end_journals
from piecewise.locks import file_lock
from piecewise.processes import this_process
from piecewise.project import Project
from small_project import TINY

GONE = this_process().as_dict() | {"started": 1}


def has_orphans(project: Project) -> bool:
    """By reading every journal."""
    records = [read_journal(folder.journal) for folder in all_runs(project)]
    return any(record is not None and record.is_orphan for record in records)


def test_commands_open_no_journal_of_an_ended_run(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_runs(project.runs, 30) + make_runs(project.runs, 40, sweeps_of=20)
    with opened_journals() as first:
        assert main(["list"]) == 0
    assert {*map(str, made)} <= {*first}
    unfinished = write_journal(project.runs / "killed", "killed", 99.0, is_over=False)
    with opened_journals() as opened:
        assert main(["list"]) == 0
    assert {*opened} == {str(unfinished)}
    record = read_journal(unfinished)
    assert record is not None
    assert record.end is not None
    assert record.end.status == "KILLED"
    for words in (["list"], ["list", "--help"], ["train", *TINY, "--dry-run"]):
        with opened_journals() as opened:
            assert main(words) == 0
        assert opened == [], words


def test_a_run_is_found_without_reading_the_others(project: Project) -> None:
    made = make_runs(project.runs, 30) + make_runs(project.runs, 40, sweeps_of=20)
    end_journals(project)
    names = ["last", "solo-000007", "fit job-000033", f"{made[-1].parent.parent.name}/0003", "sweep-000001"]
    sweep = made[-1].parents[1]
    expected = [sweep / "journal.jsonl", made[7], made[30 + 2 + 33], sweep / "0003" / "journal.jsonl", made[30 + 21]]
    for name, journal in zip(names, expected, strict=True):
        with opened_journals() as opened:
            assert find_run(project, name).folder.journal == journal
        assert {*opened} == {str(journal)}, name
    with pytest.raises(BadInput, match="may be any of 30"):
        find_run(project, "solo")


def test_the_index_knows_what_the_journals_say(project: Project) -> None:
    make_runs(project.runs, 10)
    make_runs(project.runs, 10, sweeps_of=5)
    write_journal(project.runs / "goes on", "goes on", 3.5, is_over=False)
    before = known_runs(project)
    end_journals(project)
    assert known_runs(project) == before
    assert unended(project.runs) == []


@pytest.mark.parametrize("place", ["20260101-000003-bbbbbb-fit", "20260101-000000-aaaaaa-fit/0003"])
def test_a_run_that_goes_on_after_its_end_is_asked_again(project: Project, place: str) -> None:
    make_runs(project.runs, 5)
    make_runs(project.runs, 5, sweeps_of=5)
    end_journals(project)
    journal = project.runs / place / "journal.jsonl"
    stamp = dict(index._stamps(project.runs))
    with Journal(journal) as resumed:
        resumed.resume(process=GONE)
        assert unended(project.runs) == [Path(place).parts[0]]
        assert end_journals(project) == []  # it is being written
        assert unended(project.runs) == [Path(place).parts[0]]
    assert dict(index._stamps(project.runs)) == stamp  # the folder's time tells nothing
    assert [folder.journal for folder in end_journals(project)] == [journal]


def test_changed_folders_are_read_again(project: Project) -> None:
    sweep = make_runs(project.runs, 5, sweeps_of=5)[0].parent
    (solo,) = make_runs(project.runs, 1)
    killed = write_journal(project.root / "elsewhere" / "one", "copied", 7.0, is_over=False)
    end_journals(project)
    shutil.copytree(killed.parent, sweep / "0009")  # a job that was restored from a copy
    shutil.copytree(killed.parent, project.runs / "two")  # a run of another machine's project
    shutil.rmtree(solo.parent)
    shutil.copytree(killed.parent, solo.parent)  # in the place of another run
    ended = {folder.journal.parent for folder in end_journals(project)}
    assert ended == {sweep / "0009", project.runs / "two", solo.parent}
    shutil.rmtree(sweep / "0003")
    assert "job-000003" not in {run.id for run in known_runs(project)}
    shutil.rmtree(sweep)
    assert {run.folder.journal.parent for run in known_runs(project)} == {project.runs / "two", solo.parent}


def test_a_journal_replaced_in_its_folder_is_noticed(project: Project) -> None:
    """Nothing in its folder's entry changes then."""
    (journal,) = make_runs(project.runs, 1)
    end_journals(project)
    journal.write_bytes(write_journal(project.root / "elsewhere", "another", 7.0).read_bytes())
    assert find_run(project, "last").start.id == "another"


def test_a_damaged_index_is_made_again(project: Project) -> None:
    make_runs(project.runs, 3)
    end_journals(project)
    whole = (project.runs / INDEX).read_bytes()
    for damaged in (b"", whole[:-1], whole[: len(whole) // 2], b"\xff" + whole, whole.replace(b"index 2", b"index 1")):
        (project.runs / INDEX).write_bytes(damaged)
        assert len(unended(project.runs)) == 3
        assert len(known_runs(project)) == 3
        end_journals(project)
        assert (project.runs / INDEX).read_bytes() == whole


def test_without_disk_space_a_run_leaves_the_index_and_none_enters(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    journal, _ = make_runs(project.runs, 2)
    end_journals(project)
    (third,) = make_runs(project.runs / "more", 1)
    third.parent.rename(project.runs / "third")
    with monkeypatch.context() as full:
        full.setattr(index, "write_atomic", fail)
        assert end_journals(project) == []
        assert unended(project.runs) == ["more", "third"]
        with Journal(journal) as resumed:
            resumed.resume(process=GONE)
        assert not (project.runs / INDEX).exists()
    assert [folder.journal for folder in end_journals(project)] == [journal]


def test_a_locked_index_is_not_changed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _ = make_runs(project.runs, 2)
    monkeypatch.setattr(index, "LOCK_SECONDS", 0.05)
    with file_lock(project.runs):
        assert end_journals(project) == []
        assert not (project.runs / INDEX).exists()
    end_journals(project)
    with file_lock(project.runs), pytest.raises(TryAgain, match=rf"goes on in process {os.getpid()}"):
        Journal(journal)
    Journal(journal)._file.close()


def step(rng: Random, project: Project, number: int) -> None:
    """Change a random run as trainings, people and crashes do."""
    folders = [folder.journal for folder in all_runs(project)]
    chosen = rng.choice(folders) if folders else project.runs / "x" / "journal.jsonl"
    kind = rng.choice(["new", "new", "job", "resume", "end", "delete", "copy", "command", "command"])
    place = project.runs / f"{number:03d}"
    if kind == "new" or not folders:
        write_journal(place, f"run {number}", float(number), is_over=rng.random() < 0.5)
    elif kind == "job":
        write_journal(project.runs / chosen.relative_to(project.runs).parts[0] / f"{number:04d}", "job", 1.0, False)
    elif kind in ("resume", "end"):
        with Journal(chosen) as journal:
            if kind == "resume" or read_end(chosen) is not None:
                journal.resume(process=GONE)
            if kind == "end":
                journal.end(rng.choice(["FINISHED", "KILLED"]))
    elif kind == "delete":
        shutil.rmtree(chosen.parent)
    elif kind == "copy":
        shutil.copytree(project.runs / chosen.relative_to(project.runs).parts[0], place)
    else:
        end_journals(project)
        assert not has_orphans(project)


@pytest.mark.parametrize("seed", range(5))
def test_no_history_of_runs_hides_an_orphan(project: Project, seed: int) -> None:
    rng = Random(seed)
    for number in range(40):
        step(rng, project, number)
    end_journals(project)
    assert not has_orphans(project)
    assert {run.id for run in known_runs(project)} == {read_journal(f.journal).start.id for f in all_runs(project)}  # type: ignore[union-attr]


@pytest.mark.parametrize("what", ["resume", "add"])
def test_a_kill_at_any_moment_hides_no_orphan(project: Project, what: str) -> None:
    """The process is killed before its first, second, … file operation."""
    journal, _ = make_runs(project.runs, 2)
    end_journals(project)
    for moment in range(40):
        if what == "add":
            make_runs(project.runs / "..", 1)[0].parent.rename(project.runs / f"new-{moment}")
        child = os.fork()
        if child == 0:
            _kill_at(moment)
            if what == "resume":
                Journal(journal).resume(process=GONE)
            else:
                end_journals(project)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):  # it had fewer operations
            break
        end_journals(project)
        assert not has_orphans(project), moment
        assert unended(project.runs) == [], moment
    assert moment > 5


def _kill_at(moment: int) -> None:
    left = [moment]

    def kill(event: str, _: object) -> None:
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "fcntl.flock", "os.scandir"):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    sys.addaudithook(kill)
