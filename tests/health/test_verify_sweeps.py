"""A run that a sweep's ledger calls finished must be there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from piecewise.cli import main
from piecewise.health.verify import verify
from piecewise.project import Project
from small_project import TINY
from swept import SWEEP, Swept, seeds, sweeps

pytestmark = pytest.mark.usefixtures("restore_tracking_uri")
INLINE = [*SWEEP, "executor=inline", "figures=none"]


def faults(project: Project) -> dict[str, tuple[str, str]]:
    return {path: (fault.what, fault.remedy) for report in verify(project) for path, fault in report.faults.items()}


def test_the_deleted_job_of_a_sweep_is_named_and_trained_again_alone(project: Project) -> None:
    assert main([*INLINE, seeds(range(3))]) == 0
    sweep = Swept(sweeps(project)[0])
    before, weights, table = [sweep.files(number) for number in range(3)], sweep.weights(), sweep.table
    assert faults(project) == {}
    shutil.rmtree(sweep.folder(1))
    (sweep.root / "results.csv").unlink()
    name, resume = f"runs/{sweep.root.name}", f"piecewise resume {sweep.root.name}"
    assert faults(project) == {
        f"{name}/0001": ("is missing", f"{resume} trains it again"),
        f"{name}/results.csv": ("is missing", f"the same piecewise train command, or {resume}, writes it again"),
    }
    assert main([*INLINE, seeds(range(3))]) == 0
    assert [sweep.files(0), sweep.files(2)] == [before[0], before[2]]
    assert (sweep.weights(), sweep.table) == (weights, table)
    assert faults(project) == {}


def test_a_deleted_run_that_a_sweep_has_taken_over_is_named(project: Project) -> None:
    assert main(["train", *TINY, "model.width=4", "figures=none", "seed=0"]) == 0
    (alone,) = project.runs.iterdir()
    assert main([*INLINE, seeds([0, 1])]) == 0
    sweep = Swept(sweeps(project)[0])
    shutil.rmtree(alone)
    assert faults(project) == {
        f"runs/{alone.name}": ("is missing", f"piecewise resume {sweep.root.name} trains it again")
    }
    assert main(["resume", sweep.root.name]) == 0
    assert sweep.states == ["FINISHED"] * 2
    assert faults(project) == {}


def test_a_store_that_was_set_aside_is_no_run(project: Project) -> None:
    Path(project.runs, ".aside-x").mkdir(parents=True)
    assert [note for report in verify(project) for note in report.notes] == []
