"""The mirror copies a run's journal and files to MLflow; these tests read them back with MLflow's client."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing

import pytest
import torch
from safetensors.torch import load_file

from piecewise.analysis.evaluate import evaluate_run
from piecewise.data.stored import digest_tensors
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.mirror.mirror import Mirror
from small_project import TINY
from stored_runs import runs_at

PIECEWISE_SYNC = [sys.executable, "-m", "piecewise", "sync"]
# The warnings are MLflow's and torch.export's own.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("restore_tracking_uri")]


def test_run_arrives_whole_and_a_second_push_does_nothing(
    mirror: Mirror, run: RunFolder, tiny_job: Job, project: Project
) -> None:
    points = 8 + 3 * torch.cuda.is_available()  # every metric at every step; a GPU has three more
    assert str(mirror.push(run, with_model=True)) == f"{tiny_job.title}: {points} points, 5 files, its model"
    assert Mirror(mirror.client, project).push(run, with_model=True) is None
    (seen,) = runs_at(mirror.client)
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


def test_evaluation_of_an_earlier_run_in_the_same_folder_is_not_pushed(
    mirror: Mirror, run: RunFolder, plan: Callable[..., list[Job]]
) -> None:
    run.journal.unlink()
    train(plan(*TINY, "seed=1")[0], run, {"id": "second"})  # into the same folder, as a stage that runs again does
    mirror.push_live(run)
    mirror.push(run)
    (seen,) = runs_at(mirror.client)
    assert (seen.data.tags["piecewise.run_id"], seen.info.status) == ("second", "FINISHED")
    assert not [key for key in seen.data.metrics if key.startswith("test/")]
    assert mirror.client.list_artifacts(seen.info.run_id, "figures") == []
    fresh = evaluate_run(run)
    mirror.push(run)
    assert runs_at(mirror.client)[0].data.metrics["test/nll"] == fresh["test/nll"]


def test_history_equals_the_journal_point_for_point(mirror: Mirror, run: RunFolder, project: Project) -> None:
    mirror.push_live(run)
    mirror.push_live(run)
    Mirror(mirror.client, project).push(run)  # another process sends everything again
    (seen,) = runs_at(mirror.client)
    record = read_journal(run.journal)
    assert record is not None
    for key, points in record.history().items():
        found = [(point.step, point.value) for point in mirror.client.get_metric_history(seen.info.run_id, key)]
        assert sorted(found) == sorted(points)


def test_second_end_adds_no_point(mirror: Mirror, run: RunFolder) -> None:
    """A stage ends twice if its pipeline was killed before dvc.lock recorded it; its test metrics are already there."""
    mirror.push(run)
    record = read_journal(run.journal)
    assert record is not None
    assert record.end is not None
    with Journal(run.journal) as journal:
        journal.resume()
        journal.end(**{key: value for key, value in record.end.raw.items() if key not in ("kind", "time")})
    assert mirror.push(run) is not None
    (seen,) = runs_at(mirror.client)
    assert len(mirror.client.get_metric_history(seen.info.run_id, "test/nll")) == 1


@pytest.mark.slow
def test_experiment_and_model_that_another_process_has_just_created_are_used(
    mirror: Mirror, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first call is the other process's, so that ours finds that the name is taken.
    for name in ("create_experiment", "create_registered_model"):
        create = getattr(mirror.client, name)
        monkeypatch.setattr(mirror.client, name, lambda *words, create=create: (create(*words), create(*words)))
    mirror.push(run, with_model=True)
    (seen,) = runs_at(mirror.client)
    assert seen.info.status == "FINISHED"
    assert len(mirror.client.search_model_versions(f"run_id = '{seen.info.run_id}'")) == 1


@pytest.mark.slow
def test_deleted_store_is_rebuilt_from_the_journals(mirror: Mirror, run: RunFolder, project: Project) -> None:
    mirror.push(run)
    (project / "mlflow.db").unlink()
    # In a process of its own: this one still holds the deleted file open.
    done = subprocess.run(PIECEWISE_SYNC, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines()[-1] == "1 runs, 1 brought up to date", done.stderr
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        found = store.execute("SELECT value FROM tags WHERE key = 'piecewise.run_id'").fetchall()
    assert found == [("first",)]
    assert not (project / "mlruns").exists()  # where MLflow would write without a store


def test_deleted_run_stays_deleted_until_it_is_restored(mirror: Mirror, run: RunFolder, project: Project) -> None:
    mirror.push(run)
    (seen,) = runs_at(mirror.client)
    mirror.client.delete_run(seen.info.run_id)
    with Journal(run.journal) as journal:
        journal.metrics(99, {"late": 1.0})
    for again in (mirror, Mirror(mirror.client, project)):
        assert again.push(run) is None
        assert again.push_live(run) is True  # there is nothing left to follow
    assert runs_at(mirror.client) == []
    other = RunFolder.at(project / "runs" / "other")
    mirror.client.delete_experiment(seen.info.experiment_id)
    with Journal(other.journal) as journal:
        journal.start(id="other", name="curve_1d-shallow", title="other")
    Mirror(mirror.client, project).push(other)  # restores the experiment, which it needs, but not the deleted run
    assert [found.info.run_name for found in runs_at(mirror.client)] == ["other"]
    assert Mirror(mirror.client, project, restores=True).push(run) is not None
    assert {found.info.run_id for found in runs_at(mirror.client)} > {seen.info.run_id}
    assert mirror.client.get_run(seen.info.run_id).data.metrics["late"] == 1.0


def test_experiment_list_has_no_default_experiment(mirror: Mirror, run: RunFolder) -> None:
    mirror.push(run)
    assert [experiment.name for experiment in mirror.client.search_experiments()] == ["curve_1d-shallow"]


LOAD = """
import sys; sys.modules["piecewise"] = None  # importing it now fails
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
print(mlflow.pyfunc.load_model(sys.argv[2]).predict(np.zeros((5, 1), np.float32)).shape)
"""


@pytest.mark.slow
def test_model_loads_without_piecewise_and_without_pickle(mirror: Mirror, run: RunFolder, project: Project) -> None:
    mirror.push(run, with_model=True)
    (seen,) = runs_at(mirror.client)
    uri = f"models:/{seen.outputs.model_outputs[0].model_id}"
    environment = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, "-c", LOAD, f"sqlite:///{project / 'mlflow.db'}", uri]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.stdout.strip() == "(5, 1)", done.stderr[-2000:]


def test_a_long_title_is_cut_to_what_mlflow_stores(mirror: Mirror, project: Project) -> None:
    """PostgreSQL refuses a longer name, SQLite does not; the run keeps its whole command."""
    folder, command = RunFolder.at(project / "runs" / "long"), f"piecewise train data.path={300 * 'x'}"
    with Journal(folder.journal) as journal:
        journal.start(id="long", name="csv-mlp", title=f"csv-mlp data.path={300 * 'x'}", tags={"command": command})
        journal.end("FAILED")
    mirror.push(folder)
    (seen,) = runs_at(mirror.client)
    assert seen.info.run_name == f"csv-mlp data.path={300 * 'x'}"[:250]
    assert seen.data.tags["mlflow.source.name"] == command
