"""Artifact addresses of a project that was moved or copied."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.mlflow_internals import ADDRESS_COLUMNS
from piecewise.tracking.store.open import open_store
from piecewise.tracking.store.relocation import moved_roots, new_address, re_root

pytestmark = pytest.mark.filterwarnings("ignore")  # SQLAlchemy's own
OLD, NEW = Path("/old/a project"), Project(Path("/new/é project"))
PLACE = "file:///new/%C3%A9%20project/mlartifacts"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("file:///old/a%20project/mlartifacts/x", f"{PLACE}/x"),
        ("file:///old/a%20project/mlartifacts/x/1%2Fé/%23y", f"{PLACE}/x/1/%C3%A9/%23y"),
        (
            "/old/a project/mlartifacts/x%20y",
            "/new/é project/mlartifacts/x%20y",
        ),  # in a plain path, % is literal
        ("file:///old/a%20project/mlartifacts", PLACE),
        ("file:///old/a%20project/mlartifacts2/x", None),
        ("file:///old/a%20project/mlruns/0", None),
        ("file:///elsewhere/mlartifacts/x", None),
        ("mlflow-artifacts:/old/a project/mlartifacts/x", None),
        ("s3://bucket/mlartifacts/x", None),
        ("models:/m-1", None),
        ("mlartifacts/x", None),
        ("", None),
        (None, None),
    ],
)
def test_only_addresses_below_the_old_artifacts_change(address: str | None, expected: str | None) -> None:
    assert new_address(address, [OLD], NEW) == expected
    assert new_address(address, [], NEW) is None


def store_with(*experiments: tuple[int, str, str | None]) -> sqlite3.Connection:
    store = sqlite3.connect(":memory:", isolation_level=None)
    store.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT)")
    store.executemany("INSERT INTO experiments VALUES (?, ?, ?)", experiments)
    return store


@pytest.mark.parametrize(
    ("experiment", "root"),
    [
        ((1, "x", "file:///old/mlartifacts/x"), "/old"),
        ((1, "x", "/old/mlartifacts/x"), "/old"),
        ((1, "mlartifacts", "/old/mlartifacts/mlartifacts"), "/old"),
        ((1, "x", "/a/mlartifacts/b/mlartifacts/x"), "/a/mlartifacts/b"),
        ((1, "a/b", "/old/mlartifacts/a/b"), "/old"),
        ((1, "a/b", "/old/mlartifacts/a--b"), "/old"),
        ((0, "Default", "file:///old/mlartifacts/0"), "/old"),
        ((0, "Default", "file:///old/mlruns/0"), "/old"),  # as MLflow creates it
        ((3, "by hand", "file:///old/mlruns/3"), None),
        ((1, "renamed", "file:///old/mlartifacts/x"), None),
        ((1, "x", "/mlartifacts/x"), "/"),
        ((1, "x", "mlartifacts/x"), None),
        ((1, "x", "old/mlartifacts/x"), None),
        ((1, "x", "s3://bucket/mlartifacts/x"), None),
        ((1, "x", None), None),
    ],
)
def test_an_experiments_location_gives_the_former_root(
    experiment: tuple[int, str, str | None], root: str | None, tmp_path: Path
) -> None:
    with closing(store_with(experiment)) as store:
        assert moved_roots(store, Project(tmp_path)) == ([] if root is None else [Path(root)])


def test_a_project_that_was_not_moved_has_no_former_root(tmp_path: Path) -> None:
    link = tmp_path.with_name("link to it")
    link.symlink_to(tmp_path)
    with closing(store_with((1, "x", str(tmp_path / "mlartifacts" / "x")))) as store:
        assert moved_roots(store, Project(tmp_path)) == moved_roots(store, Project(link)) == []


def test_a_failed_re_rooting_changes_nothing() -> None:
    with closing(store_with((1, "x", "/old/mlartifacts/x"))) as store:
        with pytest.raises(sqlite3.OperationalError, match="no such table: runs"):
            re_root(store, NEW)
        assert store.execute("SELECT artifact_location FROM experiments").fetchall() == [("/old/mlartifacts/x",)]
        assert not store.in_transaction


LOAD = """
import sys, mlflow, numpy as np
from pathlib import Path
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store
client = open_store(EMBEDDED, Project())
(experiment,) = client.search_experiments()
(run,) = client.search_runs([experiment.experiment_id])
print(Path(client.download_artifacts(run.info.run_id, "config/model.yaml")).read_text().count("width"))
for uri in (f"models:/{run.outputs.model_outputs[0].model_id}", "models:/named/1", "models:/named@best"):
    print(mlflow.pyfunc.load_model(uri).predict(np.zeros((5, 1), np.float32)).shape)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_artifacts_and_models_load_after_a_move(project: Project, tmp_path: Path, how: Any, tiny_job: Any) -> None:
    from piecewise.execution.train import train
    from piecewise.journal.run_folder import RunFolder
    from piecewise.tracking.mirror.mirror import Mirror

    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder, {"id": "first"})
    client = open_store(EMBEDDED, project)
    Mirror(client, project).push(folder, with_model=True)
    (model,) = client.search_logged_models(["1"])
    client.create_registered_model("named")
    client.create_model_version("named", model.artifact_location, model.source_run_id, model_id=model.model_id)
    client.set_registered_model_alias("named", "best", "1")
    new = tmp_path / "zwei Wörter & #1 50%"
    how(str(project), str(new))
    if how is shutil.copytree:  # the copy must not need the original
        shutil.rmtree(project / "mlartifacts")
    done = subprocess.run([sys.executable, "-c", LOAD], cwd=new, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["1", "(5, 1)", "(5, 1)", "(5, 1)"], done.stderr[-2000:]
    with closing(sqlite3.connect(new / "mlflow.db")) as store:
        for table, column in ADDRESS_COLUMNS:
            texts = [text for (text,) in store.execute(f"SELECT {column} FROM {table}") if text]
            assert [text for text in texts if "a%20project" in text or "a project" in text] == []
    os.chdir(tmp_path)
