"""Tests from MLflow's side: what its client sees of a run."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from piecewise.data.stored import digest_tensors
from piecewise.jobs.job import Job
from piecewise.journal.folder import RunFolder
from piecewise.journal.reader import read_journal
from piecewise.journal.writer import Journal
from piecewise.runs.draw import draw_run
from piecewise.runs.evaluate import evaluate_run
from piecewise.runs.record import load_model
from piecewise.runs.train import train
from piecewise.tracking.found import RUN_ID
from piecewise.tracking.mirror import Mirror
from piecewise.tracking.store import EMBEDDED, open_store
from piecewise.tracking.words import flatten
from small_project import TINY

PIECEWISE_SYNC = [sys.executable, "-m", "piecewise", "sync"]
# The warnings are MLflow's and torch.export's own.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("mlflow_as_it_was")]


@pytest.fixture
def mirror(project: Path) -> Mirror:
    return Mirror(open_store(EMBEDDED, project), project)


@pytest.fixture
def run(tiny_job: Job, project: Path) -> RunFolder:
    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder, {"id": "first", "tags": {"git.commit": "abc"}})
    evaluate_run(folder)
    draw_run(folder)
    return folder


def _runs(mirror: Mirror) -> list[Any]:
    experiments = [experiment.experiment_id for experiment in mirror.client.search_experiments()]
    return list(mirror.client.search_runs(experiments))


def test_a_run_arrives_whole_and_twice_is_once(mirror: Mirror, run: RunFolder, tiny_job: Job, project: Path) -> None:
    assert str(mirror.push(run, load_model)) == f"{tiny_job.title}: 8 points, 5 files, its model"
    assert Mirror(mirror.client, project).push(run, load_model) is None
    (seen,) = _runs(mirror)
    assert (seen.info.status, seen.info.run_name) == ("FINISHED", tiny_job.title)
    assert (seen.data.params["model.width"], seen.data.params["optimizer.lr"]) == ("3", "0.001")
    assert (seen.data.tags["git.commit"], seen.data.tags["job_digest"]) == ("abc", tiny_job.digest)
    assert seen.data.tags["weights_digest"] == digest_tensors(load_file(run.weights))
    assert set(seen.data.metrics) >= {"train/nll", "val/nll", "test/nll", "test/squared_error"}
    assert [entry.dataset.name for entry in seen.inputs.dataset_inputs] == ["curve_1d", "curve_1d"]
    assert len(seen.outputs.model_outputs) == 1
    names = {item.path for item in mirror.client.list_artifacts(seen.info.run_id, "figures")}
    assert names == {f"figures/{name}.svg" for name in ("fitted_function", "learning_curves", "unit_by_unit")}
    assert [item.path for item in mirror.client.list_artifacts(seen.info.run_id, "config")] == ["config/model.yaml"]


def test_a_run_that_was_stopped_and_goes_on_is_one_run(mirror: Mirror, project: Path) -> None:
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
            statuses += [seen.info.status for seen in _runs(mirror)]
    assert statuses == ["KILLED", "RUNNING", "FINISHED"]
    (run,) = _runs(mirror)
    points = mirror.client.get_metric_history(run.info.run_id, "train/nll")
    assert [(point.step, point.value) for point in points] == [(1, 2.0), (2, 0.5), (3, pytest.approx(1 / 3))]


@pytest.mark.parametrize(("status", "is_done"), [("FINISHED", False), ("FAILED", True), ("KILLED", True)])
def test_a_run_that_is_followed_has_its_state_as_soon_as_it_ends(
    mirror: Mirror, project: Path, status: str, is_done: bool
) -> None:
    """Before it is evaluated, which may take long, and though it may never be."""
    folder = RunFolder.at(project / "runs" / "one")
    with Journal(folder.journal) as journal:
        journal.start(id="a", name="x", title="x")
        journal.metrics(1, {"train/nll": 2.0})
        assert mirror.push_live(folder) is False
        assert [run.info.status for run in _runs(mirror)] == ["RUNNING"]
        journal.end(status)
    for _ in range(2):
        assert mirror.push_live(folder) is is_done
        assert [run.info.status for run in _runs(mirror)] == [status]


def test_evaluation_of_an_earlier_training_is_not_taken_for_this_ones(
    mirror: Mirror, run: RunFolder, plan: Callable[..., list[Job]]
) -> None:
    run.journal.unlink()
    train(plan(*TINY, "seed=1")[0], run, {"id": "second"})  # into the same place, as a stage that runs again does
    mirror.push_live(run)
    mirror.push(run)
    (seen,) = _runs(mirror)
    assert (seen.data.tags["piecewise.run_id"], seen.info.status) == ("second", "FINISHED")
    assert not [key for key in seen.data.metrics if key.startswith("test/")]
    assert mirror.client.list_artifacts(seen.info.run_id, "figures") == []
    fresh = evaluate_run(run)
    mirror.push(run)
    assert _runs(mirror)[0].data.metrics["test/nll"] == fresh["test/nll"]


def test_history_equals_the_journal_point_for_point(mirror: Mirror, run: RunFolder, project: Path) -> None:
    mirror.push_live(run)
    mirror.push_live(run)
    Mirror(mirror.client, project).push(run)  # another process that sends everything again
    (seen,) = _runs(mirror)
    record = read_journal(run.journal)
    assert record is not None
    for key, points in record.history().items():
        found = [(point.step, point.value) for point in mirror.client.get_metric_history(seen.info.run_id, key)]
        assert sorted(found) == sorted(points)


@pytest.mark.slow
def test_lost_store_is_made_again_from_the_journals(mirror: Mirror, run: RunFolder, project: Path) -> None:
    mirror.push(run)
    (project / "mlflow.db").unlink()
    # In a process of its own: this one still holds the deleted file open.
    done = subprocess.run(PIECEWISE_SYNC, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines()[-1] == "1 runs, 1 brought up to date", done.stderr
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        found = store.execute("SELECT value FROM tags WHERE key = 'piecewise.run_id'").fetchall()
    assert found == [("first",)]
    assert not (project / "mlruns").exists()


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        (["FINISHED", "FINISHED"], "FINISHED"),
        (["FINISHED", "FAILED"], "FAILED"),
        (["KILLED", "FAILED"], "FAILED"),
        (["FINISHED", "KILLED"], "KILLED"),
        (["FINISHED", None], "KILLED"),
        (["FINISHED"], "KILLED"),  # the other never began
    ],
)
def test_a_sweep_is_what_its_jobs_are(mirror: Mirror, project: Path, ends: list[str | None], state: str) -> None:
    parent = RunFolder.at(project / "runs" / "sweep")
    (parent.figures).mkdir(parents=True)
    (parent.figures / "results.csv").write_text("seed,test/nll\n0,1.5\n")
    with Journal(parent.journal) as journal:
        journal.start(id="parent", name="x", title="parent", num_jobs=2)
        journal.end("FINISHED")  # says nothing: a sweep that was killed has had no time to count
    for number, end in enumerate(ends):
        with Journal(RunFolder.at(project / "runs" / "sweep" / f"{number:04d}").journal) as journal:
            journal.start(id=f"child {number}", name="x", title=f"child {number}", parent="parent")
            if end is not None:
                journal.end(end)
    assert mirror.push(parent) is not None
    for path in parent.children:
        mirror.push(RunFolder.at(path.parent))
    seen = {run.info.run_name: run for run in _runs(mirror)}
    assert seen["parent"].info.status == state
    counted = {key: int(value) for key, value in seen["parent"].data.tags.items() if key.startswith("sweep.")}
    assert counted == {f"sweep.{name}": ends.count(name.upper()) for name in ("finished", "failed", "killed")}
    assert [seen[f"child {number}"].info.status for number in range(len(ends))] == [end or "RUNNING" for end in ends]
    assert seen["child 0"].data.tags["mlflow.parentRunId"] == seen["parent"].info.run_id
    shown = mirror.client.list_artifacts(seen["parent"].info.run_id, "figures")
    assert [item.path for item in shown] == ["figures/results.csv"]  # what the sweep found is its parent's


def test_what_is_deleted_stays_deleted_until_it_is_wanted_back(mirror: Mirror, run: RunFolder, project: Path) -> None:
    mirror.push(run)
    (seen,) = _runs(mirror)
    mirror.client.delete_run(seen.info.run_id)
    with Journal(run.journal) as journal:
        journal.metrics(99, {"late": 1.0})
    for again in (mirror, Mirror(mirror.client, project)):
        assert again.push(run) is None
        assert again.push_live(run) is True  # nothing more is to be done
    assert _runs(mirror) == []
    other = RunFolder.at(project / "runs" / "other")
    mirror.client.delete_experiment(seen.info.experiment_id)
    with Journal(other.journal) as journal:
        journal.start(id="other", name="curve_1d-shallow", title="other")
    Mirror(mirror.client, project).push(other)  # brings its experiment back, and nobody else
    assert [found.info.run_name for found in _runs(mirror)] == ["other"]
    assert Mirror(mirror.client, project, restores=True).push(run) is not None
    assert {found.info.run_id for found in _runs(mirror)} > {seen.info.run_id}
    assert mirror.client.get_run(seen.info.run_id).data.metrics["late"] == 1.0


def test_one_run_stays_of_several_that_lost_replies_have_made(mirror: Mirror, run: RunFolder, project: Path) -> None:
    mirror.push(run)
    (seen,) = _runs(mirror)
    for _ in range(2):
        mirror.client.create_run(seen.info.experiment_id, tags={RUN_ID: "first"})
    Mirror(mirror.client, project).push(run)
    (left,) = _runs(mirror)
    points = mirror.client.get_metric_history(left.info.run_id, "train/nll")
    record = read_journal(run.journal)
    assert record is not None
    assert [(point.step, point.value) for point in points] == record.history()["train/nll"]


def test_infinity_and_nan_arrive_as_nan_and_the_tag_says_which(mirror: Mirror, project: Path) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    with Journal(folder.journal) as journal:
        journal.start(id="a", name="x", title="x")
        for step, value in enumerate([1.0, math.nan, math.inf, -math.inf]):
            journal.metrics(step, {"train/nll": value})
        journal.end("FAILED")
    mirror.push(folder)
    Mirror(mirror.client, project).push(folder)
    (seen,) = _runs(mirror)
    points = mirror.client.get_metric_history(seen.info.run_id, "train/nll")
    assert [(point.step, math.isnan(point.value)) for point in points] == [(0, False), (1, True), (2, True), (3, True)]
    assert seen.data.tags["infinite.train/nll"] == "-inf at step 3"
    record = read_journal(folder.journal)
    assert record is not None
    assert [value for _, value in record.history()["train/nll"]][2:] == [math.inf, -math.inf]


def test_a_full_batch_of_infinities_is_taken(mirror: Mirror, project: Path) -> None:
    """MLflow takes a thousand points, tags included, and a hundred tags."""
    folder = RunFolder.at(project / "runs" / "one")
    with Journal(folder.journal) as journal:
        journal.start(id="a", name="x", title="x")
        journal.metrics(1, {f"m{number}": math.inf for number in range(1000)})
        journal.end("FAILED")
    assert str(mirror.push(folder)) == "x: 1000 points, 0 files"
    (seen,) = _runs(mirror)
    assert len([key for key in seen.data.tags if key.startswith("infinite.")]) == 1000


def test_an_infinite_measurement_is_a_nan_too(mirror: Mirror, run: RunFolder) -> None:
    run.metrics.write_text('{"test/nll": Infinity}')
    mirror.push(run)
    (seen,) = _runs(mirror)
    assert math.isnan(seen.data.metrics["test/nll"])
    assert seen.data.tags["infinite.test/nll"].startswith("inf at step ")


def test_experiment_list_has_no_clutter(mirror: Mirror, run: RunFolder) -> None:
    mirror.push(run)
    assert [experiment.name for experiment in mirror.client.search_experiments()] == ["curve_1d-shallow"]


LOAD = """
import sys; sys.modules["piecewise"] = None  # importing it now fails
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
print(mlflow.pyfunc.load_model(sys.argv[2]).predict(np.zeros((5, 1), np.float32)).shape)
"""


@pytest.mark.slow
def test_model_loads_without_piecewise_and_without_pickle(mirror: Mirror, run: RunFolder, project: Path) -> None:
    mirror.push(run, load_model)
    (seen,) = _runs(mirror)
    uri = f"models:/{seen.outputs.model_outputs[0].model_id}"
    environment = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, "-c", LOAD, f"sqlite:///{project / 'mlflow.db'}", uri]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.stdout.strip() == "(5, 1)", done.stderr[-2000:]


def test_flatten_names_options_and_leaves_out_what_is_no_parameter() -> None:
    config = {"model": {"width": [3, 4], "activation": "relu"}, "tracking": {"uri": "x"}, "scheduler": None}
    expected = {"model.width": "[3, 4]", "model.activation": "relu", "scheduler": "null"}
    assert dict(flatten(config)) == expected
