from __future__ import annotations

from collections.abc import Callable

from piecewise.jobs.job import Job
from piecewise.planning.estimate import SECONDS_PER_BATCH, SECONDS_PER_RUN, estimate

Plan = Callable[..., list[Job]]


def test_time_grows_with_steps_and_disk_with_weights(plan: Plan) -> None:
    short, long, wide = (
        estimate(plan("data=mnist1d", "loss=categorical", "model=mlp", *options)[0])
        for options in (["trainer.max_epochs=1"], ["trainer.max_epochs=1000"], ["model.width=[2000]"])
    )
    assert SECONDS_PER_RUN < short.seconds < SECONDS_PER_RUN + 30
    assert long.seconds - SECONDS_PER_RUN > 1000 * 50 * SECONDS_PER_BATCH
    assert wide.num_bytes - short.num_bytes > 4 * 40 * 1000


def test_disk_grows_with_the_drawn_examples(plan: Plan) -> None:
    few, many = (estimate(plan(f"data.num_test={count}", "data.num_train=100")[0]) for count in (1_000, 101_000))
    assert many.num_bytes - few.num_bytes == 4 * 100_000 * 2


def test_estimating_writes_nothing(plan: Plan, project: object) -> None:
    estimate(plan("data=line", "model=linear")[0])
    assert not (project / "runs").exists()  # type: ignore[operator]
