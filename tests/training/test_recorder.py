"""`train/nll` is read when it was asked for, and after the first and the last step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.training import recorder
from small_project import TINY

Plan = Callable[..., list[Job]]
OPTIONS = [*TINY, "data.num_train=47", "trainer.max_epochs=3"]  # 15 steps; an epoch's batches have 10, 10, 10, 10 and 2
SIZES = [10, 10, 10, 10, 2] * 3


def readings(plan: Plan, place: RunFolder, *options: str) -> list[tuple[int, float]]:
    return readings_of(plan(*OPTIONS, *options)[0], place)


def readings_of(job: Job, place: RunFolder) -> list[tuple[int, float]]:
    train(job, place)
    record = read_journal(place.journal)
    assert record is not None
    return record.history()["train/nll"]


@pytest.fixture
def losses(plan: Plan, project: Project) -> list[float]:
    """The loss of every step."""
    found = readings(plan, RunFolder.at(project / "every"), "log_every_n_steps=1")
    assert [step for step, _ in found] == list(range(1, 16))
    return [value for _, value in found]


@pytest.mark.parametrize("apart", [1, 2, 4, 100])
def test_a_reading_is_the_mean_over_the_examples_since_the_one_before(
    plan: Plan, project: Project, losses: list[float], monkeypatch: pytest.MonkeyPatch, apart: int
) -> None:
    monkeypatch.setattr(recorder, "MAX_APART", apart)
    (job,) = plan(*OPTIONS)
    for every, steps in {
        2: [1, 2, 4, 6, 8, 10, 12, 14, 15],
        5: [1, 5, 10, 15],  # as long as an epoch
        7: [1, 7, 14, 15],  # longer than an epoch
        14: [1, 14, 15],
        15: [1, 15],
        1000: [1, 15],  # longer than the training
    }.items():
        changed = replace(job, frozen=job.frozen | {"log_every_n_steps": every})
        found = readings_of(changed, RunFolder.at(project / f"{every}"))
        assert [step for step, _ in found] == steps
        for (before, _), (step, value) in pairwise([(0, math.nan), *found]):
            weighted = sum(losses[at] * SIZES[at] for at in range(before, step))
            assert value == pytest.approx(weighted / sum(SIZES[before:step]), rel=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_training_that_ends_within_an_epoch_has_its_last_reading(
    plan: Plan, project: Project, losses: list[float], steps: int
) -> None:
    found = readings(plan, RunFolder.at(project / "one"), "log_every_n_steps=50", f"+trainer.max_steps={steps}")
    assert [step for step, _ in found] == sorted({1, steps})
    assert found[0][1] == losses[0]


def test_a_training_that_stops_early_has_its_last_reading(plan: Plan, project: Project) -> None:
    options = ["optimizer=sgd", "optimizer.lr=0", "early_stopping.patience=1", "log_every_n_steps=4"]
    assert [step for step, _ in readings(plan, RunFolder.at(project / "one"), *options)] == [1, 4, 8, 10]


def test_an_accumulated_step_is_read_once(plan: Plan, project: Project) -> None:
    options = ["trainer.accumulate_grad_batches=2", "log_every_n_steps=3"]  # three steps in each epoch
    assert [step for step, _ in readings(plan, RunFolder.at(project / "one"), *options)] == [1, 3, 6, 9]
