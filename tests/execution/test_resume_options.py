"""Options that `piecewise resume` changes are checked: Hydra, which checks those of `train`, does not see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from piecewise.errors import BadInput
from piecewise.execution.resume import with_options
from piecewise.jobs.job import Job
from small_project import TINY


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
