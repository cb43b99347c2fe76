from __future__ import annotations

from collections.abc import Callable

import pytest

from piecewise.execution.train import train
from piecewise.jobs.build import build_parts
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.planning.check import training_length
from small_project import TINY

Plan = Callable[..., list[Job]]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ([], 2 * 4),
        (["trainer.limit_train_batches=3"], 2 * 3),
        (["trainer.limit_train_batches=0.5"], 2 * 2),
        (["trainer.accumulate_grad_batches=3"], 2 * 2),
        (["+trainer.max_steps=3"], 3),
        (["batch_size=all"], 2),
        (["batch_size=7"], 2 * 6),
        (["trainer.overfit_batches=1"], 2),
    ],
)
def test_training_takes_the_predicted_steps(plan: Plan, project: object, options: list[str], steps: int) -> None:
    (job,) = plan(*TINY, *options)
    assert training_length(build_parts(job.config)) == (steps, 2)
    folder = RunFolder.at(project / "one")  # type: ignore[operator]
    train(job, folder)
    assert read_result(folder)["steps"] == read_result(folder)["steps_planned"] == steps
