"""A sweep waits for the processes of the one before it, which was killed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from piecewise.execution import evaluate_and_draw
from piecewise.execution.executors.contract import FINISHED
from piecewise.execution.run_sweep import run_sweep
from piecewise.execution.sweep import Sweep
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import LOCK_SECONDS
from piecewise.journal.writer import Journal
from piecewise.project import Project
from small_project import TINY

Plan = Callable[..., list[Job]]


@pytest.mark.parametrize("what", ["trains", "evaluates"])
def test_a_sweep_waits_for_an_orphan(plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The orphan holds its locks longer than any other process would wait for them."""
    monkeypatch.setattr(evaluate_and_draw, "evaluate_and_draw", lambda *_: {})
    words = ["-m", *TINY, "executor=inline", "figures=none", "seed=0,1"]
    sweep = Sweep.new(plan(*words), ["a", "b"], words)
    folder = sweep.folders.jobs[0]
    with ExitStack() as orphan:
        with Journal(folder.journal):
            pass  # it is there
        orphan.enter_context(Journal(folder.journal) if what == "trains" else folder.held())
        threading.Timer(LOCK_SECONDS + 0.5, orphan.pop_all().close).start()
    after = run_sweep(sweep, None, lambda *_: None)
    assert after.states() == [FINISHED] * 2
