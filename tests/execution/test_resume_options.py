"""Options that `piecewise resume` changes are checked: Hydra, which checks those of `train`, does not see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from piecewise.errors import BadInput
from piecewise.execution.resume import with_options
from piecewise.jobs.job import Job
from small_project import TINY


def test_a_value_that_the_run_has_may_be_repeated(plan: Callable[..., list[Job]]) -> None:
    job = plan("experiment=shallow_regression", "optimizer.lr=3e-3", "+trainer.max_steps=9", "executor=inline")[0]
    words = ["experiment=shallow_regression", "optimizer.lr=0.003", "optimizer.lr=3e-3", "trainer.max_steps=9"]
    words += ["executor=inline", "seed=0", "data.noise=1.0e-1", "select=best", "early_stopping.patience=null"]
    assert with_options(job, words) == job
    assert with_options(job, [*words, "evaluate=false"]).frozen == job.frozen | {"evaluate": False}
    for word in ("seed=1", "optimizer.lr=0.1", "select=last", "executor=pool", "model.width=x", "seed"):
        with pytest.raises(BadInput, match=rf"^'{word}' cannot be changed when a run continues; .*allowed: "):
            with_options(job, [*words, word])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("log_every_n_steps=abc", "log_every_n_steps='abc' must be a whole number, at least 1"),
        ("log_every_n_steps=2.5", "log_every_n_steps=2.5 must be a whole number"),
        ("log_every_n_steps=true", "log_every_n_steps=True must be a whole number"),
        ("log_every_n_steps=", "log_every_n_steps=None must be a whole number"),
        ("log_every_n_steps=[1", r"'log_every_n_steps=\[1' cannot be read; allowed: KEY=VALUE"),
        ("evaluate=maybe", "evaluate='maybe' must be true or false"),
        ("about=me", "about='me' must be a mapping with the keys command, expected, question, seconds, source"),
    ],
)
def test_a_value_of_another_type_is_refused(plan: Callable[..., list[Job]], word: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"^{message}"):
        assert with_options(plan(*TINY)[0], [word]).config
