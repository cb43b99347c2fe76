"""What the jobs of a sweep share is checked once; what one of them has alone is checked for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from piecewise.errors import BadInput
from piecewise.jobs import build
from piecewise.jobs.job import Job
from piecewise.planning import check

Plan = Callable[..., list[Job]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each part of the checks was called."""
    found: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        whole = getattr(module, name)

        def counted(*given: Any, **options: Any) -> Any:
            found[name] += 1
            return whole(*given, **options)

        monkeypatch.setattr(module, name, counted)

    for name in ("make_trainer", "check_schedule", "_check_outputs", "check_step", "check_address"):
        count(check, name)
    count(build, "build_parts")
    return found


def test_jobs_that_differ_by_their_seed_are_checked_once(plan: Plan, calls: Counter[str]) -> None:
    jobs = plan("-m", "seed=range(0,5)", "experiment=shallow_regression", "model.width=3")
    assert len({job.digest for job in jobs}) == 5
    assert set(calls.values()) == {1}
    assert len(calls) == 6


def test_jobs_with_the_same_model_build_it_once(plan: Plan, calls: Counter[str]) -> None:
    plan("-m", "optimizer.lr=0.1,0.2,0.3", "model.width=3,4", "seed=0,1", "trainer.max_epochs=2")
    assert (calls["build_parts"], calls["_check_outputs"], calls["make_trainer"]) == (2, 2, 1)
    assert (calls["check_schedule"], calls["check_step"]) == (6, 6)


def test_jobs_share_no_configuration_that_one_of_them_has_alone(plan: Plan) -> None:
    jobs = plan("-m", "optimizer.lr=1,2", "batch_size=60,360", "seed=0,1")
    found = [(job.frozen["optimizer"]["lr"], job.frozen["batch_size"], job.frozen["seed"]) for job in jobs]
    assert found == [(lr, size, seed) for lr in (1.0, 2.0) for size in (60, "all") for seed in (0, 1)]
    assert all(isinstance(job.frozen["optimizer"]["lr"], float) for job in jobs)


@pytest.mark.parametrize(
    ("key", "right", "wrong", "message"),
    [
        ("model.width", "3", "0", r"model\.width=0 must be a whole number of at least 1"),
        ("model.width", "3", "100000000000", "model is too large: training its weights needs"),
        ("model.activation", "relu", "relo", "did you mean 'relu'"),
        ("optimizer.lr", "0.1", "-1", "Invalid learning rate: -1"),
        ("batch_size", "60", "361", "batch_size=361 must be a whole number from 1 to the 360 training examples"),
        ("seed", "0", "-1", "seed=-1 must be at least 0"),
        ("data.num_train", "400", "50", "batch_size=64 must be a whole number from 1 to the 45 training examples"),
        ("data.val_fraction", "0.1", "1", r"data\.val_fraction=1"),
        ("trainer.max_epochs", "20", "9", r"scheduler\.step_size=10 is longer than the training, which has 9 epochs"),
        ("scheduler.gamma", "0.5", "nan", r"scheduler\.gamma=nan must be a finite number"),
    ],
)
def test_a_later_job_is_refused_with_the_error_that_it_has_alone(
    plan: Plan, key: str, right: str, wrong: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message) as refused:
        plan("-m", "scheduler=step", f"{key}={right},{wrong}")
    with pytest.raises(BadInput) as alone:
        plan("scheduler=step", f"{key}={wrong}")
    assert str(refused.value) == str(alone.value)
