"""`piecewise evaluate` and `summary`, while the pipeline trains again what it has evaluated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from piecewise.cli import main
from piecewise.durable import read_json, write_json
from piecewise.journal.run_folder import SWEEP, RunFolder
from piecewise.journal.writer import Journal
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from piecewise.report.results import collect
from small_project import TINY, evaluate_experiment

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(project: Project) -> RunFolder:
    """The first of two evaluated runs of the pipeline."""
    evaluate_experiment(project, plan_command_line(project / "conf", ["-m", *TINY, "seed=0,1"]))
    with Journal(RunFolder.of_stage("fit", SWEEP).journal) as journal:
        journal.start(id="sweep", name="fit", title="fit sweep of 2", num_jobs=2)
    return RunFolder.of_stage("fit", "seed=0")


def pretend_trained_again(folder: RunFolder) -> None:
    """Leave what a stage leaves when it trains other weights: the evaluation is still that of the earlier ones."""
    write_json(folder.evaluated, read_json(folder.evaluated) | {"weights_digest": "of the earlier weights"})
    write_json(folder.metrics, dict.fromkeys(read_json(folder.metrics), 99.0))


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def num_evaluated(project: Project) -> int:
    return sum(len(group.runs) for result in collect(project) for group in result.groups)


def test_a_run_in_training_hides_no_other_result(project: Project, folder: RunFolder, capsys: Capture) -> None:
    assert num_evaluated(project) == 2
    shutil.rmtree(folder.training)  # as DVC does before a stage starts
    assert num_evaluated(project) == 1
    assert main(["summary"]) == 0, capsys.readouterr()


def test_metrics_of_earlier_weights_are_no_result(project: Project, folder: RunFolder) -> None:
    pretend_trained_again(folder)
    runs = [run for result in collect(project) for group in result.groups for run in group.runs]
    assert [run.folder.training.name for run in runs] == ["seed=1"]


@pytest.mark.parametrize("is_absent", [False, True])
def test_evaluate_compares_no_weights_with_earlier_ones(
    project: Project, folder: RunFolder, capsys: Capture, is_absent: bool
) -> None:
    if is_absent:
        shutil.rmtree(folder.evaluation)
    else:
        pretend_trained_again(folder)
    before = files(project / "results")
    capsys.readouterr()
    assert main(["evaluate", str(folder.training)]) == 0
    said = capsys.readouterr()
    assert "test/nll" in said.out
    assert "99" not in said.out
    assert "dvc repro evaluate@fit records metrics" in said.err
    assert files(project / "results") == before, "a command wrote an out of a stage"


def test_a_sweep_of_the_pipeline_is_measured_as_one(project: Project, folder: RunFolder, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(["evaluate", "fit sweep of 2"]) == 0
    measured = dict(line.split() for line in capsys.readouterr().out.splitlines())
    alone = json.loads(folder.metrics.read_text())
    assert float(measured["test/nll"]) != pytest.approx(alone["test/nll"], rel=1e-6)
    folder.result.unlink()
    assert main(["evaluate", "fit sweep of 2"]) == 1
    assert "fit sweep of 2: 1 of its 2 trainings have finished" in capsys.readouterr().err
