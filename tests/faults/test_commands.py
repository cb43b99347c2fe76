"""The recorded command repeats the run, and the overrides of two jobs never give them one folder."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from command_lines import draw, typed
from piecewise.errors import BadInput
from piecewise.execution.describe import Facts
from piecewise.jobs.job import Job
from piecewise.jobs.overrides import folder_of
from trials import Trials

Plan = Callable[..., list[Job]]
LETTERS = "ab A.-_+~/\\'\"[]{}()=,:é😀$*?|@ıß\u00a0"


def planned(plan: Plan, rng: Random) -> tuple[list[str], list[Job]]:
    """A command line that plans, and its jobs."""
    while True:
        words = draw(rng)
        try:
            return words, plan(*words)
        except BadInput:
            continue


def test_recorded_commands_repeat_the_jobs(plan: Plan, trials: Trials, capsys: pytest.CaptureFixture[str]) -> None:
    """That of a job gives the same job; that of a sweep the same jobs in the same order."""
    for rng in trials("recorded commands that repeat their jobs when a shell reads them", 200):
        words, jobs = planned(plan, rng)
        given = [words, *(list(job.overrides) for job in jobs)]
        commands = [Facts().tags(jobs[0].name, one)["command"] for one in given]
        pasted = typed(rng.choice(["bash", "sh"]), commands)
        assert pasted == given
        digests = [job.digest for job in jobs]
        assert [job.digest for job in plan(*pasted[0])] == digests
        assert [job.digest for one in pasted[1:] for job in plan(*one)] == digests


def test_every_list_of_overrides_has_a_valid_folder_of_its_own(trials: Trials) -> None:
    """Short lists of odd letters, so that many differ by one letter alone."""
    folders: dict[str, list[str]] = {}
    for rng in trials("lists of overrides, each with a valid folder of its own", 20_000):
        overrides = [_override(rng) for _ in range(rng.randint(0, 2))]
        name = folder_of(overrides)
        assert folders.setdefault(name.lower(), overrides) == overrides
        assert name.isascii()
        assert not set(name) & set("/\\ '\"*?|:$")
        assert name[0] not in ".-"
        assert 0 < len(name) <= 120


def _override(rng: Random) -> str:
    key = rng.choice(["a", "A", "b.c", "+a", "~a"])
    return f"{key}={''.join(rng.choice(LETTERS) for _ in range(rng.choice([0, 1, 1, 2, 90])))}"
