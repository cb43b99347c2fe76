"""Compares the runs in an MLflow store with their journals."""

from __future__ import annotations

from typing import Any

from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder


def run_of(client: Any, folder: RunFolder) -> Any:
    """The store's run of this folder. Fails unless there is exactly one, in any experiment."""
    (run,) = _found(client, folder)
    return run


def has_points(client: Any, folder: RunFolder) -> bool:
    """Whether the store has any metric of this folder's run."""
    return any(run.data.metrics for run in _found(client, folder))


def _found(client: Any, folder: RunFolder) -> list[Any]:
    record = read_journal(folder.journal, with_metrics=False)
    assert record is not None
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, f"tags.`piecewise.run_id` = '{record.start.id}'"))


def assert_points(client: Any, folder: RunFolder) -> int:
    """Assert that the store has every point of the journal exactly once. Returns the number of points."""
    record, run = read_journal(folder.journal), run_of(client, folder)
    assert record is not None
    history = record.history()
    for key, points in history.items():
        found = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]
        assert sorted(found) == sorted(points), key
    for key in run.data.metrics:  # includes the metrics of the evaluation
        steps = [point.step for point in client.get_metric_history(run.info.run_id, key)]
        assert len(steps) == len(set(steps)), key
    return sum(map(len, history.values()))


def assert_finished(client: Any, folder: RunFolder) -> int:
    """`assert_points`, and the run's status is FINISHED."""
    assert run_of(client, folder).info.status == "FINISHED"
    return assert_points(client, folder)


def runs_at(client: Any) -> list[Any]:
    """All runs of the store, in all experiments."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments))
