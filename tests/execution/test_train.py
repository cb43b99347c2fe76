from __future__ import annotations

import collections
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from piecewise.analysis.draw import draw_run
from piecewise.analysis.evaluate import evaluate_run
from piecewise.cli import main
from piecewise.data.stored import digest_tensors
from piecewise.errors import BadInput, NonFiniteLoss, PiecewiseError
from piecewise.execution.train import train
from piecewise.jobs import build
from piecewise.jobs.job import Job, read_job
from piecewise.jobs.run_key import run_key
from piecewise.journal.reader import read_end, read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from small_project import TINY

Plan = Callable[..., list[Job]]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.at(tmp_path / "run")


def test_run_folder_holds_the_job_the_weights_and_a_result(tiny_job: Job, folder: RunFolder) -> None:
    train(tiny_job, folder)
    result = read_result(folder)
    assert read_job(folder.job) == tiny_job
    assert result["weights_digest"] == digest_tensors(load_file(folder.weights))
    assert (result["status"], result["steps"], result["steps_planned"], result["epochs"]) == ("FINISHED", 8, 8, 2)
    assert result["num_parameters"] == 3 * 3 + 1  # UDL: 3D + 1
    assert yaml.safe_load(folder.weights.with_suffix(".yaml").read_text()) == tiny_job.frozen
    assert "time" not in json.dumps(result)


def test_a_command_builds_the_parts_of_its_job_twice_to_check_and_to_train(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluation and figures use the objects of the training."""
    built: list[str] = []

    def count(name: str, build_one: Callable[..., object]) -> None:
        monkeypatch.setattr(build, name, lambda *given, **more: built.append(name) or build_one(*given, **more))

    names = ("build_data", "build_model", "make_optimizer", "make_schedule")
    for name in names:
        count(name, getattr(build, name))
    assert main(["train", *TINY]) == 0
    assert collections.Counter(built) == dict.fromkeys(names, 2)
    assert list((project / "runs").glob("*/evaluation/metrics.json")) != []


def test_same_job_in_two_folders_gives_the_same_result_file(tiny_job: Job, tmp_path: Path) -> None:
    folders = [RunFolder.at(tmp_path / name) for name in ("a", "b")]
    for folder in folders:
        train(tiny_job, folder)
    assert folders[0].result.read_bytes() == folders[1].result.read_bytes()
    assert folders[0].weights.read_bytes() == folders[1].weights.read_bytes()


def test_run_key_depends_on_job_data_source_and_lock(tiny_job: Job) -> None:
    other = replace(tiny_job, frozen=tiny_job.frozen | {"seed": 1})
    keys = [run_key(tiny_job, "d", "s", "l"), run_key(other, "d", "s", "l"), run_key(tiny_job, "e", "s", "l")]
    keys += [run_key(tiny_job, "d", "t", "l"), run_key(tiny_job, "d", "s", "m")]
    assert len(set(keys)) == 5
    assert run_key(replace(tiny_job, overrides=("another=1",)), "d", "s", "l") == keys[0]


def test_diverged_training_is_marked_failed_and_leaves_no_result(plan: Plan, folder: RunFolder) -> None:
    (job,) = plan("optimizer=sgd", "optimizer.lr=1e30", "trainer.max_epochs=3", "tracking=none")
    with pytest.raises(NonFiniteLoss):
        train(job, folder)
    record = read_journal(folder.journal)
    assert record is not None
    assert record.end is not None
    assert (record.end.status, record.end.reason.split(":")[0]) == ("FAILED", "NonFiniteLoss")
    with pytest.raises(PiecewiseError, match="holds no result"):
        read_result(folder)


def test_missing_data_starts_no_run(plan: Plan, folder: RunFolder) -> None:
    (job,) = plan("experiment=mnist_mlp", "tracking=none")
    with pytest.raises(BadInput, match="does not exist"):
        train(job, folder)
    assert not folder.journal.exists()


def test_evaluation_of_a_line_measures_its_distance_to_the_closed_form(plan: Plan, folder: RunFolder) -> None:
    (job,) = plan("experiment=least_squares", "tracking=none")
    train(job, folder)
    metrics = evaluate_run(folder)
    assert set(metrics) == {"test/nll", "test/nll_floor", "test/squared_error", "distance_to_closed_form"}
    assert metrics["distance_to_closed_form"] < 1e-9
    assert metrics["test/squared_error"] == pytest.approx(0.2**2, rel=0.2)  # only the noise is left


def test_a_loss_whose_floor_is_unknown_reports_none(plan: Plan, folder: RunFolder) -> None:
    (job,) = plan(*TINY, "loss=laplace", "data.noise=0")
    train(job, folder)
    assert set(evaluate_run(folder)) == {"test/nll", "test/squared_error"}
    assert "Infinity" not in folder.metrics.read_text()


def test_missing_weights_are_named_once(tiny_job: Job, folder: RunFolder) -> None:
    train(tiny_job, folder)
    folder.weights.unlink()
    with pytest.raises(
        BadInput, match=rf"^{folder.weights} is missing: restore it from a copy, or train the run again$"
    ):
        evaluate_run(folder)


def test_figures_come_from_the_run_alone_and_are_the_same_bytes_each_time(tiny_job: Job, folder: RunFolder) -> None:
    train(tiny_job, folder)
    evaluate_run(folder)
    names = draw_run(folder)
    first = {name: (folder.figures / f"{name}.svg").read_bytes() for name in names}
    draw_run(folder)
    assert names == ["fitted_function", "unit_by_unit", "learning_curves"]
    assert all((folder.figures / f"{name}.svg").read_bytes() == data for name, data in first.items())


def test_a_job_that_exits_by_itself_has_failed(
    tiny_job: Job, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*arguments: object) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("piecewise.execution.fit.fit_job", leave)
    folder = RunFolder.at(project.runs / "one")
    with pytest.raises(SystemExit):
        train(tiny_job, folder)
    end = read_end(folder.journal)
    assert end is not None
    assert (end.status, end.reason) == ("FAILED", "SystemExit: 0")
