"""The follower of a large sweep looks only at the jobs that have begun and have not been sent whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from many_runs import make_runs, write_journal
from piecewise.execution.job_folders import JobFolders
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.sync import follower as module
from piecewise.tracking.sync.arrivals import Arrivals
from piecewise.tracking.sync.follower import Follower

COUNT = 10_000


def begin(folder: RunFolder, end: str | None = None) -> None:
    with Journal(folder.journal) as journal:
        journal.start(id=folder.journal.parent.name, name="fit", title="fit")
        journal.metrics(1, {"train/nll": 1.0})
        if end is not None:
            journal.end(end)


@pytest.fixture
def folders(project: Project) -> JobFolders:
    return JobFolders.below(project.runs / "sweep", COUNT)


def test_runs_are_found_as_they_begin(folders: JobFolders) -> None:
    arrivals = Arrivals(dict.fromkeys([folders.parent, *folders.jobs], 0))
    assert arrivals.look() == []
    begin(folders.parent)
    begin(folders.jobs[1])
    assert arrivals.look() == [folders.parent, folders.jobs[1]]
    assert arrivals.look() == []
    begin(folders.jobs[9999])
    begin(folders.jobs[0])
    assert arrivals.look() == [folders.jobs[0], folders.jobs[9999]]


def test_jobs_of_the_pipeline_are_found_too(project: Project) -> None:
    parent, *jobs = [RunFolder.of_live_stage("fit", label) for label in ("sweep", "seed=0", "seed=1")]
    arrivals = Arrivals(dict.fromkeys([parent, *jobs], 0))
    begin(jobs[1])
    begin(parent)
    assert set(arrivals.look()) == {parent, jobs[1]}


def test_a_job_that_had_finished_before_the_command_is_left_to_the_last_push(folders: JobFolders) -> None:
    ends = {0: "FINISHED", 1: "KILLED", 2: None, 3: "FINISHED"}
    for number, end in ends.items():
        begin(folders.jobs[number], end)
    sizes = dict.fromkeys(folders.jobs, 0) | {
        folders.jobs[number]: folders.jobs[number].journal.stat().st_size for number in ends
    }
    with Journal(folders.jobs[3].journal) as again:
        again.resume()
    assert Arrivals(sizes).look() == [folders.jobs[number] for number in (1, 2, 3)]
    assert Arrivals({folders.jobs[0]: sizes[folders.jobs[0]]}).look() == [folders.jobs[0]]  # a run of its own
    folders.jobs[0].journal.write_bytes(b"damaged\n")
    assert folders.jobs[0] in Arrivals(sizes).look()


def test_a_poll_of_a_large_sweep_touches_only_what_goes_on(
    project: Project, folders: JobFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8,000 of 10,000 jobs have been sent whole, 1,990 have not begun."""
    follower = Follower(EMBEDDED, dict.fromkeys([folders.parent, *folders.jobs], 0))
    begin(folders.parent)
    for job in folders.jobs[:8010]:
        job.journal.parent.mkdir(parents=True)
    os.utime(folders.root, ns=(0, 10**18))

    class Mirror:
        def push_live(self, folder: RunFolder) -> bool:
            pushed.append(folder)
            return folder in whole

    pushed: list[RunFolder] = []
    whole = set(folders.jobs[:8000])
    monkeypatch.setattr(follower, "_open", Mirror)
    follower._update()
    assert len(pushed) == 8011
    pushed.clear()
    touched: set[Path] = set()
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path: touched.add(path) or stat(path))
    follower._update()
    assert pushed == [folders.parent, *folders.jobs[8000:8010]]
    assert touched == {folders.root, project.runs}


def test_a_sweep_is_followed_although_no_core_is_idle(folders: JobFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []
    monkeypatch.setattr(module, "lower_priority", added.append)
    monkeypatch.setattr(module, "idle_cores", lambda: pytest.fail("it waits for a core"))
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    follower = Follower(EMBEDDED, dict.fromkeys([folders.parent, *folders.jobs], 0))
    begin(folders.parent)
    begin(folders.jobs[0])
    follower._wait_for_idle_core()
    monkeypatch.setattr(follower, "_open", lambda: None)
    monkeypatch.setattr(follower, "_push_live", lambda folder: True)
    follower._update()
    assert added == [module.SWEEP_NICENESS]
    assert follower.live == []


def test_the_last_push_leaves_out_jobs_that_never_began(
    project: Project, folders: JobFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[RunFolder]] = []
    monkeypatch.setattr(module, "push_all", lambda uri, found, *rest: asked.append(found) or module.SyncResult())
    make_runs(project.runs, 2)
    write_journal(folders.root / "0007", "seven", 1.0)
    follower = Follower(EMBEDDED, dict.fromkeys([folders.parent, *folders.jobs], 0))
    monkeypatch.setattr(follower, "_follow_live", lambda: None)
    follower.is_over.set()
    assert follower.follow() == 0
    assert asked == [[folders.jobs[7]]]
