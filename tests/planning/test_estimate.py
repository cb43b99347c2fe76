from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import torch

from piecewise import process_settings
from piecewise.jobs.job import Job
from piecewise.planning import estimate as estimating
from piecewise.planning.estimate import SECONDS_IN_SWEEP, SECONDS_PER_BATCH, SECONDS_PER_RUN, Estimator

Plan = Callable[..., list[Job]]


def test_time_grows_with_steps_and_disk_with_weights(plan: Plan) -> None:
    short, long, wide = (
        Estimator().estimate(plan("data=mnist1d", "loss=categorical", "model=mlp", *options)[0])
        for options in (["trainer.max_epochs=1"], ["trainer.max_epochs=1000"], ["model.width=[2000]"])
    )
    assert SECONDS_PER_RUN < short.seconds < SECONDS_PER_RUN + 30
    assert long.seconds - SECONDS_PER_RUN > 1000 * 50 * SECONDS_PER_BATCH
    assert wide.num_bytes - short.num_bytes > 4 * 40 * 1000


def test_disk_grows_with_the_drawn_examples(plan: Plan) -> None:
    few, many = (
        Estimator().estimate(plan(f"data.num_test={count}", "data.num_train=100")[0]) for count in (1_000, 101_000)
    )
    assert many.num_bytes - few.num_bytes == 4 * 100_000 * 2


def test_estimating_writes_nothing(plan: Plan, project: object) -> None:
    Estimator().estimate(plan("data=line", "model=linear")[0])
    assert not (project / "runs").exists()  # type: ignore[operator]


def test_a_step_is_timed_once_for_each_shape_and_batch_size(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = []
    monkeypatch.setattr(estimating, "_time_step", lambda parts: timed.append(parts.length.batch_size) or 0.5)
    jobs = plan("-m", "optimizer.lr=0.1,0.2", "seed=0,1", "trainer.max_epochs=1,3", "batch_size=10,20")
    estimator = Estimator()
    found = [estimator.estimate(job, is_in_sweep=True) for job in jobs]
    assert timed == [10, 20]
    expected = [
        SECONDS_IN_SWEEP + epochs * 360 / size * (0.5 + SECONDS_PER_BATCH) for epochs in (1, 3) for size in (10, 20)
    ]
    assert [round(guess.seconds) for guess in found] == [round(seconds) for seconds in expected * 4]


def test_steps_that_wait_for_a_core_do_not_count(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(parts: object, model: object) -> Iterator[None]:
        for pause in (0.1, 0.05, 0.05, 0.0):
            time.sleep(pause)
            yield

    monkeypatch.setattr(estimating, "_steps", steps)
    (job,) = plan()
    assert Estimator().estimate(job, is_in_sweep=True).seconds < SECONDS_IN_SWEEP + 20 * 6 * 0.01


@pytest.mark.parametrize(("width", "threads"), [(3, 1), (100_000, 2)])
def test_a_step_has_the_threads_of_the_training(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, width: int, threads: int
) -> None:
    found = []

    def steps(parts: object, model: object) -> Iterator[None]:
        while True:
            found.append(torch.get_num_threads())
            time.sleep(0.005)
            yield

    monkeypatch.setattr(estimating, "_steps", steps)
    (job,) = plan("data.num_train=10000", "batch_size=1000", f"model.width={width}")
    with process_settings.one_thread():  # which restores the number
        torch.set_num_threads(2)
        Estimator().estimate(job)
        assert set(found) == {threads}
        assert torch.get_num_threads() == 2


def test_a_run_that_is_drawn_takes_longer(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "_time_step", lambda parts: 0.0)
    plain, drawn = (Estimator().estimate(plan(f"figures={figures}")[0], True).seconds for figures in ("auto", "all"))
    assert drawn - plain == pytest.approx(SECONDS_PER_RUN - SECONDS_IN_SWEEP, abs=0.3)
