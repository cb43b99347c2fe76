"""Sweeps are stopped and resumed; finished runs are sealed, and their folders private."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable

import pytest

from piecewise.analysis import draw
from piecewise.errors import TryAgain
from piecewise.execution import evaluate_and_draw
from piecewise.execution.executors.contract import Outcome
from piecewise.execution.job_folders import JobFolders
from piecewise.execution.pack import Pack
from piecewise.execution.run_jobs import run_jobs
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.manifest import manifest_faults
from piecewise.project import Project
from piecewise.stopping import Stopped, handle_signals
from small_project import TINY

WEIGHTS = "training/model.safetensors"
Plan = Callable[..., list[Job]]


def ignore(pack: Pack, outcome: Outcome) -> None:
    pass


def write_metrics(folder: RunFolder, parts: object = None) -> dict[str, float]:
    """Write metrics in place of the slow evaluation after a training."""
    folder.metrics.parent.mkdir(parents=True, exist_ok=True)
    folder.metrics.write_text('{"test/nll": 1.0}')
    return {"test/nll": 1.0}


@pytest.fixture(autouse=True)
def _evaluate_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_and_draw, "evaluate_run", write_metrics)
    monkeypatch.setattr(draw, "draw_run", lambda folder: [])


@pytest.fixture
def stopped(plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Job], JobFolders]:
    """A sweep of three jobs, stopped by SIGTERM after the training and before the metrics of the second."""
    jobs = plan("-m", *TINY, "seed=0,1,2")
    folders = JobFolders.new(jobs)

    def stop(folder: RunFolder, parts: object) -> dict[str, float]:
        if folder == folders.jobs[1]:
            os.kill(os.getpid(), signal.SIGTERM)
        return write_metrics(folder)

    monkeypatch.setattr(evaluate_and_draw, "evaluate_run", stop)
    with pytest.raises(Stopped), handle_signals():
        run_jobs(jobs, folders, None, ignore)
    monkeypatch.setattr(evaluate_and_draw, "evaluate_run", write_metrics)
    return jobs, folders


def status(folder: RunFolder) -> str:
    record = read_journal(folder.journal)
    assert record is not None
    assert record.end is not None
    return str(record.end.status)


def test_a_stopped_sweep_is_recorded_as_killed_and_keeps_finished_jobs(stopped: tuple[list[Job], JobFolders]) -> None:
    _, folders = stopped
    assert status(folders.parent) == "KILLED"
    assert [folder.is_done for folder in folders.jobs] == [True, False, False]


def test_a_resumed_sweep_repeats_no_training_and_finishes(stopped: tuple[list[Job], JobFolders]) -> None:
    jobs, folders = stopped
    finished: list[str] = []
    before = [folder.journal.read_bytes() for folder in folders.jobs[:2]]

    def note(pack: Pack, outcome: Outcome) -> None:
        assert outcome.metrics == {"test/nll": 1.0}
        finished.append(pack.job.label)

    run_jobs(jobs, JobFolders.below(folders.root, 3), None, note, is_resumed=True)
    assert finished == [job.label for job in jobs[1:]]
    assert [folder.journal.read_bytes() for folder in folders.jobs[:2]] == before
    assert [status(folder) for folder in (folders.parent, *folders.jobs)] == ["FINISHED"] * 4
    ids = {read_journal(folder.journal).start.parent for folder in folders.jobs}  # type: ignore[union-attr]
    assert ids == {read_journal(folders.parent.journal).start.id}  # type: ignore[union-attr]


def test_a_run_with_another_writer_is_not_touched(stopped: tuple[list[Job], JobFolders]) -> None:
    jobs, folders = stopped
    seen = {path: path.read_bytes() for path in folders.root.rglob("*") if path.is_file()}
    with Journal(folders.jobs[2].journal), pytest.raises(TryAgain, match=rf"its run goes on in process {os.getpid()}"):
        run_jobs(jobs, JobFolders.below(folders.root, 3), None, ignore, is_resumed=True)
    folders.jobs[2].journal.unlink()
    assert seen == {path: path.read_bytes() for path in folders.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("gone", [[WEIGHTS], [WEIGHTS, "checkpoints"], ["training", "checkpoints"]])
def test_a_finished_job_without_weights_is_trained_again(plan: Plan, project: Project, gone: list[str]) -> None:
    """With its last checkpoint nothing is left to train but the weights are written again, the same."""
    jobs = plan("-m", *TINY, "seed=0,1")
    folders = JobFolders.new(jobs)
    run_jobs(jobs, folders, None, ignore)
    folder, trained = folders.jobs[1], []
    before = {path.name: path.read_bytes() for path in folder.training.iterdir()}
    for name in gone:
        path = folder.sealed / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    run_jobs(jobs, folders, None, lambda pack, _: trained.append(pack.number), is_resumed=True)
    assert trained == [1]
    assert {path.name: path.read_bytes() for path in folder.training.iterdir()} == before
    assert [manifest_faults(run.sealed) for run in folders.jobs] == [{}, {}]


def test_every_finished_run_is_sealed(plan: Plan, project: Project) -> None:
    jobs = plan("-m", *TINY, "seed=0,1")
    folders = JobFolders.new(jobs)
    run_jobs(jobs, folders, None, ignore)
    for folder in folders.jobs:
        assert (folder.sealed / "manifest.json").is_file()
        assert manifest_faults(folder.sealed) == {}


def test_the_folders_of_a_run_are_private_under_a_private_umask(tiny_job: Job, project: Project) -> None:
    before = os.umask(0o077)
    try:
        folders = JobFolders.new([tiny_job])
        run_jobs([tiny_job], folders, None, ignore)
    finally:
        os.umask(before)
    folders = [folders.root, *(path for path in folders.root.rglob("*") if path.is_dir())]
    assert len(folders) > 3
    assert [path for path in folders if path.stat().st_mode & 0o077] == []  # so no file in them can be reached
