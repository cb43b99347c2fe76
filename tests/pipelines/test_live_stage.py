"""The stage `train` continues an interrupted training, and never runs twice at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from piecewise.durable import write_json
from piecewise.errors import TryAgain
from piecewise.execution import run_pack
from piecewise.execution.run_jobs import run_jobs
from piecewise.jobs.job import Job, write_jobs
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, all_runs, read_result
from piecewise.journal.writer import Journal
from piecewise.locks import file_lock
from piecewise.manifest import write_manifest
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from piecewise.stages import live
from piecewise.stages.live import live_stage
from piecewise.stages.run import run
from small_project import TINY

Plan = Callable[..., list[Job]]


def train_stage(jobs: list[Job], fail_at: int | None = None) -> bool:
    """Train as the stage does; job number `fail_at` crashes. Returns whether an earlier training was resumed."""

    def seal(folder: Path) -> None:
        if fail_at is not None and folder.name == jobs[fail_at].folder_name:
            raise MemoryError
        write_manifest(folder)

    with live_stage(jobs) as (folders, is_resumed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_pack, "write_manifest", seal)
        run_jobs(jobs, folders, None, lambda *_: None, is_resumed, evaluates=False)
    return is_resumed


@pytest.fixture
def jobs(plan: Plan) -> list[Job]:
    return plan("-m", *TINY, "seed=0,1")


def test_a_stage_publishes_its_journals(jobs: list[Job], project: Project) -> None:
    assert not train_stage(jobs)
    published = [RunFolder.of_stage(jobs[0].name, label) for label in ("sweep", *(job.folder_name for job in jobs))]
    assert {folder.journal for folder in all_runs(project)} == {folder.journal for folder in published}


@pytest.mark.slow
def test_a_finished_stage_is_trained_anew_only_if_dvc_has_recorded_it(jobs: list[Job], project: Project) -> None:
    """If DVC is killed after the stage ends, the next `dvc repro` removes the stage's outs and runs it again."""
    train_stage(jobs)
    folders = [RunFolder.of_stage(jobs[0].name, job.folder_name) for job in jobs]
    digests = [read_result(place)["weights_digest"] for place in folders]
    shutil.rmtree("results")
    assert train_stage(jobs)
    assert [read_result(place)["weights_digest"] for place in folders] == digests
    (project / "dvc.lock").write_text(f"stages: {{train@{jobs[0].name}: {{cmd: recorded}}}}")
    assert not train_stage(jobs)


def test_ranks_that_still_train_are_waited_for(
    jobs: list[Job], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOCK_TIMEOUT_SECONDS", 0.2)
    with Journal(RunFolder.of_live_stage(jobs[0].name, jobs[0].folder_name).journal) as journal:
        journal.start(id="a")
        with pytest.raises(TryAgain, match=rf"runs in process {os.getpid()}"):
            train_stage(jobs)
        assert journal.path.is_file()
    assert not train_stage(jobs)


def test_a_failed_stage_is_resumed_if_its_jobs_are_the_same(jobs: list[Job], project: Project) -> None:
    with pytest.raises(Exception, match="MemoryError"):
        train_stage(jobs, fail_at=1)
    live = RunFolder.of_live_stage(jobs[0].name, jobs[0].folder_name)
    assert [run.journal.name for run in all_runs(project)] == ["journal.jsonl"] * 3
    first = read_journal(live.journal)
    assert first is not None
    assert train_stage(jobs)
    record = read_journal(RunFolder.of_stage(jobs[0].name, jobs[0].folder_name).journal)
    assert record is not None
    assert record.start.id == first.start.id
    assert read_result(live)["status"] == "FINISHED"


@pytest.mark.parametrize("change", ["optimizer.lr=0.5", "trainer.precision=bf16-mixed"])
def test_a_failed_stage_is_restarted_if_its_jobs_differ(
    jobs: list[Job], plan: Plan, project: Project, change: str
) -> None:
    with pytest.raises(Exception, match="MemoryError"):
        train_stage(jobs, fail_at=0)
    assert not train_stage(plan("-m", *TINY, "seed=0,1", change))


def test_a_stage_is_refused_while_it_runs_in_another_process(
    jobs: list[Job], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOCK_TIMEOUT_SECONDS", 0.2)
    with (
        file_lock(Path(f"runs/pipeline/{jobs[0].name}.lock")),
        pytest.raises(TryAgain, match=rf"runs in process {os.getpid()}"),
    ):
        train_stage(jobs)
    assert not train_stage(jobs)


def test_a_stage_prints_the_error_of_its_bad_configuration(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(project.build / "jobs" / "broken.json", {"version": 1, "error": "what it was"})
    assert run("train", "broken") == 2
    assert capsys.readouterr().err == "error: what it was\n"


def test_an_altered_data_file_gets_a_new_time_so_that_dvc_restores_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    line = yaml.safe_load((project.conf / "data" / "line.yaml").read_text())
    write_json(project.build / "data" / "line.json", line)
    assert run("synthesise", "line") == 0
    stored = project.data / "line" / "train.safetensors"
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    os.utime(stored, (0, 0))
    job = plan_command_line(project.conf, ["data=line", "tracking=none"])[0]
    write_jobs(project.build / "jobs" / "fit.json", "fit", [Job("fit", (), job.frozen)])
    assert run("train", "fit") == 2
    assert "run `dvc repro` again to restore it from DVC's cache" in capsys.readouterr().err
    assert stored.stat().st_mtime > 0


def test_a_resumed_stage_writes_the_outs_that_dvc_has_removed(jobs: list[Job], project: Project) -> None:
    with pytest.raises(Exception, match="MemoryError"):
        train_stage(jobs, fail_at=1)
    shutil.rmtree("results")
    assert train_stage(jobs)
    for job in jobs:
        folder = RunFolder.of_stage(job.name, job.folder_name)
        assert all(path.is_file() for path in (folder.job, folder.result, folder.weights, folder.journal))
