"""The status that MLflow shows for a run and for a sweep, and which jobs push their model."""

from __future__ import annotations

import time

import pytest

from piecewise.journal.reader import read_journal
from piecewise.journal.records import Start
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.mirror.live_runs import LiveRuns
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.mirror.run_contents import wants_model
from piecewise.tracking.tags import HEARTBEAT
from stored_runs import runs_at

# The warnings are MLflow's own.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("restore_tracking_uri")]


def test_stopped_and_resumed_run_is_one_run(mirror: Mirror, project: Project) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    statuses = []
    with Journal(folder.journal) as journal:
        journal.start(id="a", name="x", title="x")
        journal.metrics(1, {"train/nll": 2.0})
        for step, end in ((1, "KILLED"), (2, None), (3, "FINISHED")):
            if step == 2:
                journal.resume()
                journal.metrics(1, {"train/nll": 2.0})  # repeated
            if step > 1:
                journal.metrics(step, {"train/nll": 1.0 / step})
            if end is not None:
                journal.end(end)
            Mirror(mirror.client, project).push(folder)
            statuses += [seen.info.status for seen in runs_at(mirror.client)]
    assert statuses == ["KILLED", "RUNNING", "FINISHED"]
    (run,) = runs_at(mirror.client)
    points = mirror.client.get_metric_history(run.info.run_id, "train/nll")
    assert [(point.step, point.value) for point in points] == [(1, 2.0), (2, 0.5), (3, pytest.approx(1 / 3))]


@pytest.mark.parametrize(("status", "is_done"), [("FINISHED", False), ("FAILED", True), ("KILLED", True)])
def test_followed_run_has_its_final_state_as_soon_as_it_ends(
    mirror: Mirror, project: Project, status: str, is_done: bool
) -> None:
    """The final state does not wait for the evaluation, which may take long or never run."""
    folder = RunFolder.at(project / "runs" / "one")
    with Journal(folder.journal) as journal:
        journal.start(id="a", name="x", title="x")
        journal.metrics(1, {"train/nll": 2.0})
        assert mirror.push_live(folder) is False
        assert [run.info.status for run in runs_at(mirror.client)] == ["RUNNING"]
        journal.end(status)
    for _ in range(2):
        assert mirror.push_live(folder) is is_done
        assert [run.info.status for run in runs_at(mirror.client)] == [status]


def test_running_run_is_shown_as_running_with_a_heartbeat(mirror: Mirror, project: Project) -> None:
    """The first heartbeat is sent at creation. A run that another machine ended as abandoned runs again."""
    folder = RunFolder.at(project / "runs" / "one")
    with Journal(folder.journal) as journal:
        journal.start(id="a", name="x", title="x", process={"host": "elsewhere"})
        before = int(time.time())
        start = Start.parse({"id": "a", "name": "x", "title": "x", "time": 1.0})
        run_id = LiveRuns(mirror.client, project, {}, restores=False).create(start).run_id
        assert int(mirror.client.get_run(run_id).data.tags[HEARTBEAT]) >= before
        mirror.client.set_tag(run_id, HEARTBEAT, "1")
        mirror.client.set_terminated(run_id, "KILLED")
        mirror.push(folder)
        (seen,) = runs_at(mirror.client)
        assert (seen.info.run_id, seen.info.status) == (run_id, "RUNNING")
        assert int(seen.data.tags[HEARTBEAT]) >= before
    mirror.client.set_tag(run_id, HEARTBEAT, "1")
    Mirror(mirror.client, project).push(folder)
    assert mirror.client.get_run(run_id).data.tags[HEARTBEAT] == "1"  # no process writes the journal, so no heartbeat


def test_late_heartbeat_does_not_hide_the_end(mirror: Mirror, project: Project) -> None:
    """A process that saw the run running may write its heartbeat after another has pushed the end."""
    folder = RunFolder.at(project / "runs" / "one")
    with Journal(folder.journal) as journal:
        journal.start(id="a", name="x", title="x")
        journal.end("FINISHED")
    mirror.push(folder)
    (run,) = runs_at(mirror.client)
    mirror.client.update_run(run.info.run_id, "RUNNING")
    mirror.push(folder)
    assert mirror.client.get_run(run.info.run_id).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        (["FINISHED", "FINISHED"], "FINISHED"),
        (["FINISHED", "FAILED"], "FAILED"),
        (["KILLED", "FAILED"], "FAILED"),
        (["FINISHED", "KILLED"], "KILLED"),
        (["FINISHED", None], "KILLED"),
        (["FINISHED"], "KILLED"),  # the second job never began
    ],
)
def test_state_of_a_sweep_follows_from_its_jobs(
    mirror: Mirror, project: Project, ends: list[str | None], state: str
) -> None:
    parent = RunFolder.at(project / "runs" / "sweep")
    (parent.figures).mkdir(parents=True)
    (parent.figures / "metric_over_axis.svg").write_text("<svg>")
    (project / "runs" / "sweep" / "results.csv").write_text("seed,test/nll\n0,1.5\n")
    with Journal(parent.journal) as journal:
        journal.start(id="parent", name="x", title="parent", num_jobs=2)
        journal.end("FINISHED")  # ignored: the jobs decide
    for number, end in enumerate(ends):
        with Journal(RunFolder.at(project / "runs" / "sweep" / f"{number:04d}").journal) as journal:
            journal.start(id=f"child {number}", name="x", title=f"child {number}", parent="parent")
            if end is not None:
                journal.end(end)
    with parent.children[0].open("ab") as torn:
        torn.write(b"an unfinished line")  # as a crash while the job was resumed leaves it
    assert mirror.push(parent) is not None
    for path in parent.children:
        mirror.push(RunFolder.at(path.parent))
    seen = {run.info.run_name: run for run in runs_at(mirror.client)}
    assert seen["parent"].info.status == state
    counted = {key: int(value) for key, value in seen["parent"].data.tags.items() if key.startswith("sweep.")}
    assert counted == {f"sweep.{name}": ends.count(name.upper()) for name in ("finished", "failed", "killed")}
    assert [seen[f"child {number}"].info.status for number in range(len(ends))] == [end or "RUNNING" for end in ends]
    assert seen["child 0"].data.tags["mlflow.parentRunId"] == seen["parent"].info.run_id
    sent = [item.path for item in mirror.client.list_artifacts(seen["parent"].info.run_id)]
    assert sent == ["figures", "results.csv"]  # the sweep's own figure and table


@pytest.mark.parametrize(("choice", "whose"), [("best", [1]), ("all", [0, 1, 2]), ("none", []), (None, [1])])
def test_log_model_decides_which_jobs_of_a_sweep_push_their_model(
    project: Project, choice: str | None, whose: list[int]
) -> None:
    config = {} if choice is None else {"log_model": choice}
    parent = RunFolder.at(project / "runs" / "sweep")
    with Journal(parent.journal) as journal:
        journal.start(id="parent", name="x", title="parent", num_jobs=3)
        journal.end("FINISHED", best="child 1")
    wanted = []
    for number in range(3):
        folder = RunFolder.at(project / "runs" / "sweep" / f"{number:04d}")
        with Journal(folder.journal) as journal:
            journal.start(id=f"child {number}", name="x", title="x", parent="parent", config=config)
            journal.end("FINISHED")
        folder.weights.parent.mkdir(exist_ok=True)
        folder.weights.write_bytes(b"")
        folder.result.write_text("{}")
        record = read_journal(folder.journal)
        assert record is not None
        wanted += [number] if wants_model(record, folder) else []
    assert wanted == whose
