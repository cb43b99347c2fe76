from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from piecewise.health.machine import MAX_CLOCK_LAG_SECONDS, clock, disk_space
from piecewise.journal.writer import Journal
from piecewise.project import Project


@pytest.mark.parametrize(("free", "num_faults"), [(1_000_000_000, 0), (999_999_999, 1)])
def test_disk_is_full_below_a_gigabyte(
    project: Project, monkeypatch: pytest.MonkeyPatch, free: int, num_faults: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: {project: SimpleNamespace(free=free)}[path])
    assert len(list(disk_space(project))) == num_faults


@pytest.fixture
def newest_journal(project: Project) -> Path:
    """A run's journal, the file of the project that is written last."""
    path = project / "runs" / "one" / "journal.jsonl"
    with Journal(path) as journal:
        journal.start(id="one")
    return path


@pytest.mark.parametrize(
    ("seconds", "num_faults"), [(-MAX_CLOCK_LAG_SECONDS - 30, 1), (-MAX_CLOCK_LAG_SECONDS + 30, 0), (3600, 0)]
)
def test_clock_may_be_behind_the_newest_journal_by_the_allowed_lag(
    project: Project, newest_journal: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, num_faults: int
) -> None:
    now = newest_journal.stat().st_mtime + seconds
    monkeypatch.setattr(time, "time", lambda: now)
    found = list(clock(project))
    assert len(found) == num_faults
    assert all("runs/one/journal.jsonl was written at" in finding.what for finding in found)


def test_early_clock_message_has_both_times_and_the_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: time.mktime((2001, 2, 3, 4, 5, 0, 0, 0, -1)))
    path = project / "conf" / "a name.yaml"
    path.touch()
    later = time.mktime((2040, 6, 7, 8, 9, 0, 0, 0, -1))
    os.utime(path, (later, later))
    (finding,) = clock(project)
    assert finding.what == "the clock says 2001-02-03 04:05, but conf/a name.yaml was written at 2040-06-07 08:09"
    assert finding.remedy.endswith("touch 'conf/a name.yaml'")


def test_project_without_files_has_no_clock_fault(tmp_path: Path) -> None:
    assert list(clock(Project(tmp_path))) == []
