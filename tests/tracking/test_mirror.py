"""Tests from MLflow's side: what its client sees of a run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from piecewise.jobs.job import Job
from piecewise.journal.folder import RunFolder
from piecewise.journal.reader import read_journal
from piecewise.journal.writer import Journal
from piecewise.runs.draw import draw_run
from piecewise.runs.evaluate import evaluate_run
from piecewise.runs.record import load_model
from piecewise.runs.train import train
from piecewise.tracking.mirror import Mirror, flatten
from piecewise.tracking.store import EMBEDDED, open_store
from small_project import TINY

PIECEWISE_SYNC = [sys.executable, "-m", "piecewise", "sync"]
pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's and torch.export's own


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


def test_a_run_arrives_whole_and_twice_is_once(mirror: Mirror, run: RunFolder, tiny_job: Job) -> None:
    assert mirror.push(run, load_model) is True
    assert Mirror(mirror.client, mirror.root).push(run, load_model) is False
    (seen,) = _runs(mirror)
    assert (seen.info.status, seen.info.run_name) == ("FINISHED", tiny_job.title)
    assert (seen.data.params["model.width"], seen.data.params["optimizer.lr"]) == ("3", "0.001")
    assert (seen.data.tags["git.commit"], seen.data.tags["job_digest"]) == ("abc", tiny_job.digest)
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
            Mirror(mirror.client, mirror.root).push(folder)
            statuses += [seen.info.status for seen in _runs(mirror)]
    assert statuses == ["KILLED", "RUNNING", "FINISHED"]
    (run,) = _runs(mirror)
    points = mirror.client.get_metric_history(run.info.run_id, "train/nll")
    assert [(point.step, point.value) for point in points] == [(1, 2.0), (2, 0.5), (3, pytest.approx(1 / 3))]


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


def test_history_equals_the_journal_point_for_point(mirror: Mirror, run: RunFolder) -> None:
    mirror.push_live(run)
    mirror.push_live(run)
    Mirror(mirror.client, mirror.root).push(run)  # another process that sends everything again
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
    assert done.stdout == "1 runs, 1 brought up to date\n", done.stderr
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        found = store.execute("SELECT value FROM tags WHERE key = 'piecewise.run_id'").fetchall()
    assert found == [("first",)]
    assert not (project / "mlruns").exists()


def test_child_of_a_sweep_finds_its_parent(mirror: Mirror, project: Path) -> None:
    (project / "parent").mkdir()
    (project / "parent" / "results.csv").write_text("seed,test/nll\n0,1.5\n")
    for name, parent in (("parent", None), ("child", "parent")):
        with Journal(project / f"{name}.jsonl") as journal:
            journal.start(id=name, name="x", title=name, parent=parent)
            journal.end("FAILED" if parent else "FINISHED")
        mirror.push(RunFolder(project / f"{name}.jsonl", *[project / name] * 4))
    seen = {run.info.run_name: run for run in _runs(mirror)}
    assert seen["child"].data.tags["mlflow.parentRunId"] == seen["parent"].info.run_id
    assert seen["child"].info.status == "FAILED"
    shown = mirror.client.list_artifacts(seen["parent"].info.run_id, "figures")
    assert [item.path for item in shown] == ["figures/results.csv"]  # what the sweep found is its parent's


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


@pytest.fixture(autouse=True)
def _leave_mlflow_as_it_was() -> Iterator[None]:
    import mlflow

    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)
