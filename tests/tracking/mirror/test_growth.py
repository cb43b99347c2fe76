"""A new run costs the same in a store of many runs: SQLite executes as many instructions for it, and no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from many_runs import make_runs
from opened_files import opened_journals
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import end_journals
from piecewise.project import Project
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.store.runs_by_sql import end_running

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("restore_tracking_uri"), pytest.mark.slow]
MANY = 300
GROWTH = 1.1  # trees of tables get deeper; reading a row of each run would be three times as many instructions


@contextmanager
def counted_instructions() -> Iterator[list[int]]:
    """The number of SQLite's instructions, in tens, that this process executes inside."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    count = [0]

    def tick() -> int:
        count[0] += 1
        return 0

    def begin(connection: Any, *_: object) -> None:
        connection.connection.driver_connection.set_progress_handler(tick, 10)

    event.listen(Engine, "before_cursor_execute", begin)
    try:
        yield count
    finally:
        event.remove(Engine, "before_cursor_execute", begin)


def push_new(mirror: Mirror, project: Project, name: str) -> tuple[int, int]:
    """Push a new run; returns the instructions in tens, and the journals opened."""
    (journal,) = make_runs(project.runs / ".." / name, 1, prefix=name)
    with counted_instructions() as count, opened_journals() as opened:
        mirror.push_live(RunFolder.at(journal.parent))
    return count[0], len(opened)


def instructions_to_end_runs(project: Project) -> int:
    count = [0]
    with sqlite3.connect(project.store) as store:
        store.set_progress_handler(lambda: count.__setitem__(0, count[0] + 1), 1)
        end_running(store, lambda tags: None)
    return count[0]


def test_a_new_run_and_the_search_for_orphans_cost_the_same_among_many_runs(mirror: Mirror, project: Project) -> None:
    push_new(mirror, project, "first")  # which makes the experiment
    few, opened_of_few = push_new(mirror, project, "few")
    few_ends = instructions_to_end_runs(project)
    for journal in make_runs(project.runs, MANY):
        mirror.push(RunFolder.at(journal.parent))
    end_journals(project)
    many, opened_of_many = push_new(mirror, project, "many")
    assert 0 < many < GROWTH * few
    assert opened_of_many == opened_of_few
    assert instructions_to_end_runs(project) == few_ends
