"""`piecewise train --dry-run` says what jobs cost and which are done, and starts nothing."""

from __future__ import annotations

import re

import pytest

from piecewise.cli import main
from piecewise.errors import BadInput
from piecewise.execution.sweep import Sweep
from piecewise.jobs.run_key import run_keys
from piecewise.journal.writer import Journal
from piecewise.planning import estimate
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from piecewise.training import checkpoint_files
from small_project import TINY

Capture = pytest.CaptureFixture[str]
SWEEP = ["train", "-m", *TINY, "executor=inline", "figures=none"]


def lines_of(capsys: Capture, *words: str) -> list[str]:
    assert main([*SWEEP, "--dry-run", *words]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("restore_tracking_uri")
def test_jobs_that_are_done_are_told_and_not_counted(project: Project, capsys: Capture) -> None:
    assert main([*SWEEP, "seed=0,1"]) == 0
    capsys.readouterr()
    lines = lines_of(capsys, "seed=0,1,2")
    assert [line.split()[-1] == "done" for line in lines[:3]] == [True, True, False]
    assert lines[-1].startswith("3 jobs, 2 of them done already, the others about ")
    assert lines_of(capsys, "seed=0,1")[-1] == "2 jobs, all done already; nothing was started"
    assert lines_of(capsys, "seed=0,1", "fresh=1")[-1].startswith("2 jobs, about ")
    assert lines_of(capsys, "seed=0")[-1].startswith("1 job, about ")  # train would run it again


def test_a_long_sweep_has_a_line_for_each_job(project: Project, capsys: Capture) -> None:
    lines = lines_of(capsys, "seed=range(0,100)", "model.width=2,3")
    assert len(lines) == 200 + 2
    assert "model.width=3" in lines[199]
    assert "seed=99" in lines[199]
    assert re.match(r"200 jobs, about \d\d s one after the other and 80\.", lines[-1])


def test_without_their_data_it_is_not_known_which_jobs_are_done(
    project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(jobs: object) -> None:
        raise BadInput("data/mnist does not exist")

    monkeypatch.setattr("piecewise.commands.dry_run.run_keys", refuse)
    assert main([*SWEEP, "--dry-run", "seed=0,1"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("2 jobs, about ")
    assert "which jobs are done is not known: data/mnist does not exist" in printed.err


def test_interrupted_and_failed_jobs_are_told(
    project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a job with a checkpoint after half of its steps, half are estimated."""
    monkeypatch.setattr(estimate, "_time_step", lambda _: 0.0)
    words = ["trainer.max_epochs=20000", "seed=0,1,2"]
    jobs = plan_command_line(project.conf, [*SWEEP[1:], *words])
    sweep = Sweep.new(jobs, run_keys(jobs), words)
    for number, state in ((0, "KILLED"), (1, "FAILED")):
        folder = sweep.folders.jobs[number]
        with Journal(folder.journal) as journal:
            journal.start(id=f"id{number}", name="fit", title="fit", steps_planned=80_000)
            journal.end(state)
        folder.checkpoints.mkdir()
        checkpoint_files.write(checkpoint_files.path_of(folder.checkpoints, 40_000), b"state")
    interrupted, failed, waiting, *_, last = lines_of(capsys, *words)
    assert interrupted.endswith("interrupted at step 40000 of 80000")
    assert failed.split()[-1] == "failed"
    assert last.startswith("3 jobs, 1 failed (retry=1 runs them again), the others about ")
    assert (" 24 s " in interrupted, " 48 s " in waiting) == (True, True)
    _, failed, *_, last = lines_of(capsys, *words, "retry=1")
    assert failed.endswith("failed at step 40000 of 80000")
    assert last.startswith("3 jobs, about ")
