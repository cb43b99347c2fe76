"""The networks of a sweep, evaluated as one ensemble: the mean of their outputs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
import torch

from piecewise.analysis.evaluate import measure_ensemble
from piecewise.analysis.trained import load_trained
from piecewise.cli import main
from piecewise.errors import BadInput, PiecewiseError
from piecewise.jobs.build import build_data
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.training.evaluation import outputs_of
from small_project import TINY

Plan = Callable[..., list[Job]]


def untrained(project: Project, jobs: list[Job]) -> list[RunFolder]:
    """Folders that hold a job and no trained weights."""
    folders = [RunFolder.at(project / "runs" / str(number)) for number in range(len(jobs))]
    for job, folder in zip(jobs, folders, strict=True):
        job.write(folder.job)
    return folders


def test_a_sweep_is_measured_by_the_mean_of_its_outputs(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-m", *TINY, "seed=0,1,2"]) == 0
    (place,) = (project / "runs").glob("2*")  # a folder's name begins with the year
    capsys.readouterr()
    assert main(["evaluate", place.name]) == 0
    shown = {key: float(value) for key, value in map(str.split, capsys.readouterr().out.splitlines())}
    outputs, alone = [], []
    for number in range(3):
        folder = RunFolder.at(place / f"000{number}")
        parts = load_trained(folder)
        test = parts.source.test(parts.loss.kind)
        outputs.append(outputs_of(parts.model, test).double())
        alone.append(json.loads(folder.metrics.read_text())["test/squared_error"])
    together = float((torch.stack(outputs).mean(dim=0) - test.y.double()).square().mean())
    nll = (together + math.log(2 * math.pi)) / 2  # the targets are normal around the output, with variance 1
    assert shown == pytest.approx({"test/nll": nll, "test/squared_error": together}, rel=1e-6)
    assert shown["test/squared_error"] < sum(alone) / 3
    assert not (place / "evaluation").exists()  # measuring a sweep writes nothing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["data.seed=0,1"], "differ in data; allowed: members with the same one"),
        (["trainer.precision=32-true,64-true"], "differ in trainer.precision"),
        (["loss=squared_error,laplace"], "differ in loss"),
        (["loss=mixture", "seed=0,1"], "its components have no order"),
    ],
)
def test_sweeps_whose_outputs_cannot_be_averaged_are_refused(
    plan: Plan, project: Project, options: list[str], message: str
) -> None:
    folders = untrained(project, plan("-m", *TINY, *options))
    with pytest.raises(BadInput, match=message):
        measure_ensemble(folders)


def test_the_first_member_that_was_never_trained_is_named(plan: Plan, project: Project) -> None:
    folders = untrained(project, plan("-m", *TINY, "seed=0,1"))
    with pytest.raises(PiecewiseError, match="0/training holds no result"):
        measure_ensemble(folders)


def test_a_member_that_was_trained_on_other_data_is_named(plan: Plan, project: Project) -> None:
    """The file behind the same path has changed between two jobs of a sweep, or since."""
    table = project / "houses.csv"
    table.write_text("size,price\n" + "".join(f"{number},{number}\n" for number in range(40)))
    jobs = plan("-m", "data=csv", f"data.path={table.name}", "data.target=price", "batch_size=5", "seed=0,1")
    folders = untrained(project, jobs)
    for folder, job in zip(folders, jobs, strict=True):
        folder.result.write_text(json.dumps({"digests": {"data": build_data(job.config.data).digest("train")}}))
    table.write_text(table.read_text().replace("7,7", "7,8"))
    folders[0].result.write_text(json.dumps({"digests": {"data": build_data(jobs[0].config.data).digest("train")}}))
    with pytest.raises(BadInput, match=r"seed=1: its training data have changed since: houses.csv"):
        measure_ensemble(folders)
