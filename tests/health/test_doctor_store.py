"""The checks of a store that MLflow made, that was moved, is in use or is absent; test_doctor seeds damage."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from piecewise.durable import write_json
from piecewise.health import store as checks
from piecewise.health.findings import Level
from piecewise.health.store import artifact_locations, schema
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store


@pytest.mark.filterwarnings("ignore")  # MLflow's own
@pytest.mark.usefixtures("restore_tracking_uri")
def test_store_that_mlflow_made_is_sound_until_the_project_is_moved(project: Project) -> None:
    client = open_store(EMBEDDED, project)
    experiment = client.create_experiment("one", (project / "mlartifacts" / "one").as_uri())
    client.create_run(experiment)
    client.create_logged_model(experiment, "model")
    assert list(schema(project)) == []
    assert list(artifact_locations(project)) == []
    moved = project.root.rename(project.root.with_name("another place"))
    assert list(schema(Project(moved))) == []
    (finding,) = artifact_locations(Project(moved))
    assert finding.level is Level.FAULT
    assert finding.what.startswith("3 of 3 artifact locations are not in this project, such as file:///")
    assert finding.remedy == "piecewise sync, or any command that opens the store"
    open_store(EMBEDDED, Project(moved))
    assert list(artifact_locations(Project(moved))) == []


def make_store(root: Path, *locations: str | None) -> None:
    with closing(sqlite3.connect(root / "mlflow.db")) as store, store:
        store.execute("CREATE TABLE experiments (artifact_location TEXT, lifecycle_stage TEXT, experiment_id, name)")
        store.execute("CREATE TABLE runs (artifact_uri TEXT, lifecycle_stage TEXT)")
        store.execute("CREATE TABLE logged_models (artifact_location TEXT, lifecycle_stage TEXT)")
        rows = [(location, number) for number, location in enumerate(locations)]
        store.executemany("INSERT INTO experiments VALUES (?, 'active', ?, 'x')", rows)


@pytest.mark.parametrize(
    ("location", "is_outside"),
    [
        ("s3://bucket/x", False),
        ("mlflow-artifacts:/x", False),
        ("./mlruns/0", False),
        (None, False),
        ("../elsewhere", True),
        ("/elsewhere", True),
        ("file:///elsewhere/a%20project", True),
    ],
)
def test_local_location_that_is_not_below_the_project_is_outside(
    project: Project, location: str | None, is_outside: bool
) -> None:
    make_store(project, location, (project / "mlartifacts").as_uri(), str(project / "mlartifacts"))
    assert bool(list(artifact_locations(project))) is is_outside


def test_folder_whose_name_only_begins_like_the_projects_is_outside(project: Project) -> None:
    make_store(project, project.root.with_name(project.root.name + " 2").as_uri())
    assert len(list(artifact_locations(project))) == 1


@pytest.mark.parametrize(
    ("locations", "remedy"),
    [
        (["/elsewhere"], "piecewise sync --rebuild"),  # it does not show the old root
        (["/old/mlartifacts/x"], "piecewise sync, or any command that opens the store"),
        (["/old/mlartifacts/x", "/elsewhere"], "piecewise sync --rebuild"),
    ],
)
def test_remedy_is_opening_the_store_if_that_repairs_it(project: Project, locations: list[str], remedy: str) -> None:
    make_store(project, *locations)
    (finding,) = artifact_locations(project)
    assert finding.remedy == remedy


def test_project_opened_through_a_link_was_not_moved(project: Project) -> None:
    make_store(project, (project / "mlartifacts").as_uri())
    link = project.root.with_name("link")
    link.symlink_to(project)
    assert list(artifact_locations(Project(link))) == []


def test_store_in_use_is_a_note_and_not_corrupt(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LOCK_TIMEOUT_SECONDS", 0.01)
    make_store(project)
    with closing(sqlite3.connect(project / "mlflow.db")) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        (seen,) = schema(project)
        (place,) = artifact_locations(project)
    assert (seen.level, seen.what) == (Level.NOTE, "mlflow.db is being written and could not be read")
    assert (place.level, place.what) == (Level.NOTE, "not checked: database is locked")


KILLED_WRITER = """
import os, sqlite3
store = sqlite3.connect("mlflow.db")
store.executemany("INSERT INTO runs VALUES (?, 'active')", [("x" * 1000,)] * 1000)
store.commit()
store.execute("PRAGMA cache_size = 5")
store.execute("UPDATE runs SET artifact_uri = 'y' || artifact_uri")
os.kill(os.getpid(), 9)
"""


def test_killed_writer_leaves_a_note_and_no_corruption(project: Project) -> None:
    make_store(project)
    assert subprocess.run([sys.executable, "-c", KILLED_WRITER], check=False, timeout=60).returncode == -9
    (finding,) = schema(project)
    assert finding.level is Level.NOTE
    assert "an unfinished write of a killed process" in finding.what
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        assert store.execute("SELECT count(*) FROM runs WHERE artifact_uri LIKE 'x%'").fetchone() == (1000,)
    (finding,) = schema(project)
    assert "has no schema revision" in finding.what


def test_network_file_system_is_a_fault_where_the_store_would_be_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "network_kind", lambda path: "nfs4")
    findings = list(schema(project))
    assert [finding.level for finding in findings] == [Level.FAULT, Level.OK]
    assert findings[0].what == "mlflow.db would lie on nfs4, a network file system, and is refused there"
    assert findings[0].remedy == "tracking=server, or a folder on a disk of this machine"
    write_json(project / "build" / "tracking.json", {"uri": "http://127.0.0.1:5000"})
    assert [finding.level for finding in schema(project)] == [Level.OK]


def test_write_ahead_log_is_read_too(project: Project) -> None:
    make_store(project)
    with closing(sqlite3.connect(project / "mlflow.db")) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE alembic_version (version_num TEXT)")
        writer.execute("INSERT INTO alembic_version VALUES ('f')")
        writer.commit()
        (finding,) = schema(project)
    assert finding.what.startswith("mlflow.db has schema f, ")


def test_checks_write_nothing(project: Project) -> None:
    make_store(project)
    before = (project / "mlflow.db").read_bytes()
    list(schema(project))
    list(artifact_locations(project))
    assert (project / "mlflow.db").read_bytes() == before
    assert {path.name for path in project.root.iterdir()} == {"conf", "pipelines", "requirements.lock", "mlflow.db"}
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        store.execute("PRAGMA journal_mode = WAL")
    list(schema(project))
    list(artifact_locations(project))
    assert {path.name for path in project.root.iterdir()} == {"conf", "pipelines", "requirements.lock", "mlflow.db"}


def test_absent_store_is_a_note_if_there_are_runs(project: Project) -> None:
    (finding,) = schema(project)
    assert finding.level is Level.OK
    with Journal(project / "runs" / "one" / "journal.jsonl") as journal:
        journal.start(id="one")
    (finding,) = schema(project)
    assert (finding.level, finding.remedy) == (Level.NOTE, "piecewise sync")
    assert not (project / "mlflow.db").exists()
    write_json(project / "build" / "tracking.json", {"uri": "http://127.0.0.1:5000"})
    (finding,) = schema(project)
    assert finding.level is Level.OK


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE"])
def test_a_full_disk_is_no_bug_and_no_broken_store(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = name
        raise error

    project.store.write_bytes(b"")
    monkeypatch.setattr("piecewise.health.store.read_store", refuse)
    (found,) = schema(project)
    assert (found.what, found.remedy) == (
        "mlflow.db could not be read: its disk is full",
        "make room; piecewise clean says what can go",
    )
