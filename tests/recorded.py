"""What a store has of a run, held against the run's journal."""

from __future__ import annotations

from typing import Any

from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder


def run_of(client: Any, folder: RunFolder) -> Any:
    """The one run at a store, in whichever experiment, that is this one."""
    (run,) = _found(client, folder)
    return run


def has_points(client: Any, folder: RunFolder) -> bool:
    """Whether a store has taken any of the run."""
    return any(run.data.metrics for run in _found(client, folder))


def _found(client: Any, folder: RunFolder) -> list[Any]:
    record = read_journal(folder.journal, with_metrics=False)
    assert record is not None
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, f"tags.`piecewise.run_id` = '{record.start.id}'"))


def assert_points(client: Any, folder: RunFolder) -> int:
    """Every point in the journal is at the store, once; how many that are."""
    record, run = read_journal(folder.journal), run_of(client, folder)
    assert record is not None
    history = record.history()
    for key, points in history.items():
        found = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]
        assert sorted(found) == sorted(points), key
    for key in run.data.metrics:  # also what was evaluated
        steps = [point.step for point in client.get_metric_history(run.info.run_id, key)]
        assert len(steps) == len(set(steps)), key
    return sum(map(len, history.values()))


def assert_whole(client: Any, folder: RunFolder) -> int:
    """As `assert_points`, of a run that has FINISHED."""
    assert run_of(client, folder).info.status == "FINISHED"
    return assert_points(client, folder)


def runs_at(client: Any) -> list[Any]:
    """All that a store shows, in whichever experiment."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments))
