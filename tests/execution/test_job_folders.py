from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from piecewise.errors import BadInput, TryAgain
from piecewise.execution import job_folders
from piecewise.execution.job_folders import JOBS, JobFolders, check_writable
from piecewise.jobs.job import Job, read_jobs


def test_the_jobs_of_a_sweep_are_written_before_any_starts(plan: Callable[..., list[Job]]) -> None:
    jobs = plan("-m", "model.width=2,3")
    made = JobFolders.new(jobs)
    assert read_jobs(made.root / JOBS) == jobs
    assert [folder.journal.parent.name for folder in made.jobs] == ["0000", "0001"]


def test_a_single_run_is_its_own_parent_and_has_no_job_list(tiny_job: Job) -> None:
    made = JobFolders.new([tiny_job])
    assert made.jobs == [made.parent]
    assert not made.root.exists()


def test_check_writable_leaves_no_file(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind", "remedy"),
    [(errno.EROFS, BadInput, ""), (errno.ENOSPC, TryAgain, "; piecewise clean makes room")],
)
def test_an_unwritable_folder_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], remedy: str
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(job_folders, "write_atomic", refuse)
    said = rf"new cannot be written: {os.strerror(number)}; nothing was started{remedy}$"
    with pytest.raises(kind, match=said):
        check_writable(tmp_path / "new")


def test_a_full_disk_is_refused_and_the_message_names_piecewise_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage: Any = shutil.disk_usage(tmp_path)._replace(free=3_000_000)
    monkeypatch.setattr(job_folders.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(TryAgain, match=r"the disk has 3 MB left, a run wants 100 MB; piecewise clean makes room"):
        check_writable(tmp_path)
