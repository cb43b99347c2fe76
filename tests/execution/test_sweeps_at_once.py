"""Commands that begin sweeps at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from threading import Barrier, BrokenBarrierError, Event

import pytest

from piecewise.commands import sweep
from piecewise.commands.sweep_words import SweepWords, read_sweep_words
from piecewise.errors import TryAgain
from piecewise.execution import find_sweep, run_sweep
from piecewise.jobs.job import Job
from piecewise.project import Project
from small_project import TINY
from swept import sweeps

Plan = Callable[..., list[Job]]
SECONDS = 20.0
Commands = list[tuple[list[Job], SweepWords]]


def command(plan: Plan, *words: str) -> tuple[list[Job], SweepWords]:
    asked = read_sweep_words(["-m", *TINY, "figures=none", *words])
    return plan(*asked.words), asked


def begin(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, commands: Commands) -> list[Future[int]]:
    """Begin two sweeps. Neither goes on before both have looked for a sweep of their jobs, if both can."""
    find, both = find_sweep.find_same, Barrier(2)

    def find_and_meet(*asked: object) -> object:
        found = find(*asked)  # type: ignore[arg-type]
        with suppress(BrokenBarrierError):
            both.wait(1.0)
        return found

    monkeypatch.setattr(find_sweep, "find_same", find_and_meet)
    return [pool.submit(sweep.run, jobs, asked) for jobs, asked in commands]


def test_the_same_command_twice_at_once_is_one_sweep(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one is refused while the jobs of the first one run."""
    is_over = Event()
    monkeypatch.setattr(run_sweep, "run_packs", lambda *_: is_over.wait(SECONDS))
    with ThreadPoolExecutor() as pool:
        started = begin(pool, monkeypatch, [command(plan, "seed=0,1") for _ in range(2)])
        (refused,), (other,) = wait(started, SECONDS / 2, FIRST_COMPLETED)
        is_over.set()
        with pytest.raises(TryAgain, match=r": these jobs run in .*; piecewise watch .* follows them"):
            refused.result()
        assert other.result() == 1  # no job has run
    assert len(sweeps(project)) == 1


@pytest.mark.parametrize("words", [(["seed=0,1"], ["seed=1,2"]), (["seed=0,1", "fresh=1"], ["seed=0,1", "fresh=1"])])
def test_other_sweeps_run_at_the_same_time(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch, words: tuple[list[str], list[str]]
) -> None:
    both_run = Barrier(2)
    monkeypatch.setattr(run_sweep, "run_packs", lambda *_: both_run.wait(SECONDS))
    with ThreadPoolExecutor() as pool:
        started = begin(pool, monkeypatch, [command(plan, *some) for some in words])
        assert [one.result() for one in started] == [1, 1]
    assert len(sweeps(project)) == 2


def test_a_command_does_not_wait_forever_for_one_that_stands_still(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from piecewise.locks import file_lock

    monkeypatch.setattr(sweep, "LOCK_SECONDS", 0.1)
    with (
        file_lock(project.runs / sweep.LOCK),
        pytest.raises(TryAgain, match=r"^process \d+ .*has been beginning a sweep"),
    ):
        sweep.run(*command(plan, "seed=0,1"))
    assert sweeps(project) == []
