"""What piecewise knows of MLflow's undocumented parts, compared with the installed MLflow."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.embedded import set_aside
from piecewise.tracking.store.mlflow_internals import (
    ACTIVE_ADDRESSES,
    ADDRESS_COLUMNS,
    EXPERIMENTS,
    known_revisions,
    new_store,
    newest_revision,
    schema_revision,
)
from piecewise.tracking.store.open import open_store
from piecewise.tracking.store.runs_by_sql import end_running
from piecewise.tracking.tags import RUN_ID

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("empty_store")]  # SQLAlchemy's warnings
KNOWN_OTHERS = {  # columns with similar names that hold no address of an artifact
    *(("inputs", name) for name in ("source_type", "source_id")),
    *(("runs", name) for name in ("source_type", "source_name", "source_version")),
    *(("datasets", name) for name in ("dataset_source", "dataset_source_type")),
    *(("entity_associations", name) for name in ("source_type", "source_id")),
    *(("evaluation_dataset_records", name) for name in ("source", "source_id", "source_type")),
    *(("assessments", name) for name in ("source_type", "source_id")),
    *(("endpoint_bindings", name) for name in ("resource_type", "resource_id")),
    ("logged_models", "source_run_id"),
    *(("issues", name) for name in ("source_run_id", "root_causes")),
    ("webhooks", "url"),
    ("mcp_server_versions", "source"),
    ("mcp_access_endpoints", "url"),
    ("workspaces", "default_artifact_root"),  # only a server has workspaces
    ("workspaces", "trace_archival_location"),
}


@pytest.fixture
def client(project: Project) -> Any:
    return open_store(EMBEDDED, project)


@pytest.fixture
def store(project: Project) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(project.store)) as store:
        yield store


def test_every_column_that_can_hold_an_address_is_known(store: sqlite3.Connection) -> None:
    words = ("location", "uri", "url", "source", "path", "root", "artifact")
    tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {(table, row[1]) for table in tables for row in store.execute(f"PRAGMA table_info({table})")}
    assert set(ADDRESS_COLUMNS) <= columns
    found = {(table, column) for table, column in columns if any(word in column for word in words)}
    assert found - KNOWN_OTHERS - set(ADDRESS_COLUMNS) == set()


def test_addresses_are_those_that_the_client_gives(client: Any, store: sqlite3.Connection, project: Project) -> None:
    experiment = client.get_experiment(client.create_experiment("x", (project.artifacts / "x").as_uri()))
    run = client.create_run(experiment.experiment_id)
    model = client.create_logged_model(experiment.experiment_id)
    gone = client.create_experiment("gone", (project.artifacts / "gone").as_uri())
    client.delete_experiment(gone)
    expected = {experiment.artifact_location, run.info.artifact_uri, model.artifact_location}
    assert {address for (address,) in store.execute(ACTIVE_ADDRESSES)} == expected
    rows = {name: (str(number), location) for number, name, location in store.execute(EXPERIMENTS)}
    assert rows["x"] == (experiment.experiment_id, experiment.artifact_location)


def test_runs_are_ended_as_the_client_would_end_them(client: Any, store: sqlite3.Connection) -> None:
    ours = client.create_run(client.create_experiment("x"), tags={RUN_ID: "7"}).info.run_id
    deleted = client.create_run("1", tags={RUN_ID: "8"}).info.run_id
    client.delete_run(deleted)
    client.create_run("1")  # not a run of piecewise
    seen = []
    for status in ("KILLED", "FAILED"):
        with store:
            end_running(store, lambda tags, status=status: seen.append(tags[RUN_ID]) or (status, 1234))
    assert seen == ["7"]  # the second time none is running
    info = client.get_run(ours).info
    assert (info.status, info.end_time) == ("KILLED", 1234)


def test_revisions_are_those_that_alembic_finds(store: sqlite3.Connection) -> None:
    """MLflow migrates with alembic, whose public class reads the same folder by running every file."""
    import mlflow
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    expected = {script.revision: set(script._versioned_down_revisions) for script in scripts.walk_revisions()}
    assert {revision: set(earlier) for revision, earlier in known_revisions().items()} == expected
    assert len(expected) > 50
    assert schema_revision(store) == newest_revision() == scripts.get_current_head()


def test_revisions_are_read_without_importing_mlflow() -> None:
    code = (
        "import sys; from piecewise.tracking.store.mlflow_internals import newest_revision as f\n"
        "print(f(), 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{newest_revision()} False\n"


def test_new_store_is_what_the_client_would_build(tmp_path: Path) -> None:
    # The words of each statement, sorted: MLflow writes constraints in a random order.
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    with new_store((tmp_path / "artifacts").as_uri()) as made:
        schema = {name: sorted(sql.split()) for name, sql in made.execute(query)}
        experiments = made.execute("SELECT artifact_location, lifecycle_stage FROM experiments").fetchall()
    assert experiments == [((tmp_path / "artifacts" / "0").as_uri(), "deleted")]
    open_store(f"sqlite:///{tmp_path}/client.db", Project(tmp_path)).search_experiments()
    with closing(sqlite3.connect(tmp_path / "client.db")) as other:
        assert {name: sorted(sql.split()) for name, sql in other.execute(query)} == schema


def test_a_replaced_store_is_used_at_once(client: Any, project: Project) -> None:
    client.create_experiment("in the old store")
    set_aside(project)
    assert open_store(EMBEDDED, project).search_experiments() == []


def test_no_commit_waits_for_the_disk(client: Any) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    client.search_experiments()
    with SqlAlchemyStore._engine_map[client.tracking_uri].connect() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 1]  # 1 is NORMAL: with a write-ahead log, a power loss damages nothing


SAVE = """
import numpy, sys, torch
from mlflow.utils import requirements_utils
from piecewise.tracking.store.mlflow_internals import quick_pytorch
compared = []
options = {"pip_requirements": ["torch==1.0"], "input_example": numpy.zeros((2, 1), numpy.float32)}
requirements_utils._check_requirement_satisfied = compared.append
for name in ("quick", "again"):
    with quick_pytorch() as pytorch:
        pytorch.save_model(torch.nn.Linear(1, 1), name, **options)
print(compared, "pytorch_lightning" in sys.modules)
import mlflow.pytorch
mlflow.pytorch.save_model(torch.nn.Linear(1, 1), "usual", **options)
import mlflow.pytorch._lightning_autolog
print("torch==1.0" in compared, "pytorch_lightning" in sys.modules)
"""


@pytest.mark.slow
def test_saving_a_model_imports_no_lightning_and_lists_no_installed_package(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SAVE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines() == ["[] False", "True True"], done.stderr
    saved = {name: {path.name for path in (tmp_path / name).rglob("*")} for name in ("quick", "again", "usual")}
    assert saved["quick"] == saved["again"] == saved["usual"] > {"MLmodel", "requirements.txt"}
