"""A run is created in MLflow once, whatever happens at the same time."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.mirror.lookup import all_runs_of
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.tags import RUN_ID
from stored_runs import runs_at

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("restore_tracking_uri")]


def test_of_runs_created_twice_for_lost_replies_one_is_kept(mirror: Mirror, run: RunFolder, project: Project) -> None:
    mirror.push(run)
    (seen,) = runs_at(mirror.client)
    for _ in range(2):
        mirror.client.create_run(seen.info.experiment_id, tags={RUN_ID: "first"})
    Mirror(mirror.client, project).push(run)
    (left,) = runs_at(mirror.client)
    points = mirror.client.get_metric_history(left.info.run_id, "train/nll")
    record = read_journal(run.journal)
    assert record is not None
    assert [(point.step, point.value) for point in points] == record.history()["train/nll"]


def test_mirrors_at_the_same_time_create_a_run_once(
    mirror: Mirror, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill of a sweep: its mirror goes on while the next command starts another one."""
    create = mirror.client.create_run

    def create_slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.3)
        return create(*arguments, **options)

    monkeypatch.setattr(mirror.client, "create_run", create_slowly)
    folder = RunFolder.at(project / "runs" / "one")
    with Journal(folder.journal) as journal, ThreadPoolExecutor() as pool:
        journal.start(id="a", name="x", title="x")
        pushes = [pool.submit(Mirror(mirror.client, project).push_live, folder) for _ in range(3)]
        assert [push.result() for push in pushes] == [False, False, False]  # the run goes on
    assert len(list(all_runs_of(mirror.client, ""))) == 1  # deleted ones are counted too
