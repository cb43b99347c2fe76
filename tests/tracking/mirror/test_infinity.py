"""MLflow's databases cannot store infinity: it is sent as NaN, and a tag keeps its sign."""

from __future__ import annotations

import math

import pytest

from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.mirror.mirror import Mirror
from stored_runs import runs_at

# The warnings are MLflow's own.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("restore_tracking_uri")]


def test_infinity_and_nan_arrive_as_nan_and_a_tag_keeps_the_sign(mirror: Mirror, project: Project) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    with Journal(folder.journal) as journal:
        journal.start(id="a", name="x", title="x")
        for step, value in enumerate([1.0, math.nan, math.inf, -math.inf]):
            journal.metrics(step, {"train/nll": value})
        journal.end("FAILED")
    mirror.push(folder)
    Mirror(mirror.client, project).push(folder)
    (seen,) = runs_at(mirror.client)
    points = mirror.client.get_metric_history(seen.info.run_id, "train/nll")
    assert [(point.step, math.isnan(point.value)) for point in points] == [(0, False), (1, True), (2, True), (3, True)]
    assert seen.data.tags["infinite.train/nll"] == "-inf at step 3"
    record = read_journal(folder.journal)
    assert record is not None
    assert [value for _, value in record.history()["train/nll"]][2:] == [math.inf, -math.inf]


def test_full_batch_of_infinities_is_accepted(mirror: Mirror, project: Project) -> None:
    """MLflow accepts 1,000 points and tags in one batch, and at most 100 tags."""
    folder = RunFolder.at(project / "runs" / "one")
    with Journal(folder.journal) as journal:
        journal.start(id="a", name="x", title="x")
        journal.metrics(1, {f"m{number}": math.inf for number in range(1000)})
        journal.end("FAILED")
    assert str(mirror.push(folder)) == "x: 1000 points, 0 files"
    (seen,) = runs_at(mirror.client)
    assert len([key for key in seen.data.tags if key.startswith("infinite.")]) == 1000


def test_infinite_evaluation_metric_arrives_as_nan(mirror: Mirror, run: RunFolder) -> None:
    run.metrics.write_text('{"test/nll": Infinity}')
    mirror.push(run)
    (seen,) = runs_at(mirror.client)
    assert math.isnan(seen.data.metrics["test/nll"])
    assert seen.data.tags["infinite.test/nll"].startswith("inf at step ")
