"""Migrating a store of an older MLflow: the old file is kept, and a failure changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from piecewise.errors import PiecewiseError, TryAgain
from piecewise.project import Project
from piecewise.tracking.store import schema
from piecewise.tracking.store.embedded import prepare
from piecewise.tracking.store.errors import explain, is_temporary
from piecewise.tracking.store.mlflow_internals import known_revisions, newest_revision, schema_revision
from piecewise.tracking.store.schema import migrate

pytestmark = pytest.mark.filterwarnings("ignore")  # SQLAlchemy's own
OLDER = "cbc13b556ace"  # of MLflow 3.1
MAKE = f"""
import sys
from alembic import command
from mlflow.store.db import utils
engine = utils.create_sqlalchemy_engine(f"sqlite:///{{sys.argv[1]}}")
utils.InitialBase.metadata.create_all(engine)
config = utils._get_alembic_config(str(engine.url))
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, "{OLDER}")
"""


@pytest.fixture(scope="module")
def older_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the older schema with one metric."""
    path = tmp_path_factory.mktemp("older") / "mlflow.db"
    subprocess.run([sys.executable, "-W", "ignore", "-c", MAKE, str(path)], check=True, capture_output=True)
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (1, 'x', 'active')")
        store.execute("INSERT INTO runs (run_uuid, experiment_id, lifecycle_stage) VALUES ('r', 1, 'active')")
        store.execute(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES ('loss', 2.5, 1, 'r', 3, 0)"
        )
    return path


@pytest.fixture
def older(older_store: Path, tmp_path: Path) -> Path:
    shutil.copy(older_store, tmp_path)
    return tmp_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The tables of an old store that `prepare` reads. MLflow would need seconds to make a whole one."""
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store, store:
        store.execute("CREATE TABLE alembic_version (version_num TEXT)")
        store.execute("INSERT INTO alembic_version VALUES (?)", (OLDER,))
        store.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT)")
        store.execute("CREATE TABLE metrics (value REAL, step INTEGER)")
        store.execute("CREATE TABLE runs (run_uuid TEXT, status TEXT)")
        store.execute("CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT)")
        store.execute("INSERT INTO metrics VALUES (2.5, 3)")
    return tmp_path


def state_of(path: Path) -> tuple[str | None, list[tuple[float, int]]]:
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return schema_revision(store), store.execute("SELECT value, step FROM metrics").fetchall()


@pytest.mark.slow
def test_older_store_is_kept_and_migrated(older: Path) -> None:
    from piecewise.tracking.store.addresses import EMBEDDED
    from piecewise.tracking.store.open import open_store

    root = older
    client = open_store(EMBEDDED, Project(root))
    assert [(point.value, point.step) for point in client.get_metric_history("r", "loss")] == [(2.5, 3)]
    assert state_of(root / "mlflow.db") == (newest_revision(), [(2.5, 3)])
    assert state_of(root / f"mlflow.db.before-{OLDER}") == (OLDER, [(2.5, 3)])
    names = {path.name for path in root.iterdir()} - {"mlflow.db-wal", "mlflow.db-shm"}
    assert names == {"mlflow.db", f"mlflow.db.before-{OLDER}", "runs"}


def upgrade(path: Path, name: str) -> None:
    """Stand in for MLflow's migration."""
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("UPDATE alembic_version SET version_num = ?", (newest_revision(),))


def test_a_failed_migration_leaves_the_store_as_it_was(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OLDER in known_revisions()
    seen = []

    def fail_halfway(path: Path, name: str) -> None:
        upgrade(path, name)
        seen.append(state_of(root / "mlflow.db"))
        raise PiecewiseError("MLflow could not migrate it")

    monkeypatch.setattr(schema, "_upgrade", fail_halfway)
    with pytest.raises(PiecewiseError, match="could not migrate"):
        prepare(Project(root))
    assert seen == [(OLDER, [(2.5, 3)])]
    assert state_of(root / "mlflow.db") == state_of(root / f"mlflow.db.before-{OLDER}") == (OLDER, [(2.5, 3)])
    monkeypatch.setattr(schema, "_upgrade", upgrade)
    prepare(Project(root))
    assert state_of(root / "mlflow.db") == (newest_revision(), [(2.5, 3)])
    assert {path.name for path in root.iterdir()} == {"mlflow.db", f"mlflow.db.before-{OLDER}", "runs"}


def test_a_write_during_the_migration_is_not_lost(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_meanwhile(path: Path, name: str) -> None:
        upgrade(path, name)
        with closing(sqlite3.connect(root / "mlflow.db")) as store, store:
            store.execute("UPDATE metrics SET step = 4")

    monkeypatch.setattr(schema, "_upgrade", write_meanwhile)
    with pytest.raises(TryAgain, match=r"mlflow\.db was written to while it was migrated from schema"):
        prepare(Project(root))
    assert state_of(root / "mlflow.db") == (OLDER, [(2.5, 4)])
    monkeypatch.setattr(schema, "_upgrade", upgrade)
    prepare(Project(root))
    assert state_of(root / "mlflow.db") == (newest_revision(), [(2.5, 4)])


@pytest.mark.parametrize("is_locked_at_once", [True, False])
def test_waiting_for_a_locked_store_ends(root: Path, monkeypatch: pytest.MonkeyPatch, is_locked_at_once: bool) -> None:
    path = root / "mlflow.db"
    monkeypatch.setattr(schema, "_data_version", lambda store: 0)  # the real one would wait too
    with closing(sqlite3.connect(path, isolation_level=None)) as holder, closing(sqlite3.connect(path)) as store:
        monkeypatch.setattr(schema, "_upgrade", lambda path, name: is_locked_at_once or lock(holder))
        store.execute("PRAGMA busy_timeout = 0")
        if is_locked_at_once:
            lock(holder)
        with pytest.raises((TryAgain, sqlite3.OperationalError)) as caught:
            migrate(path, store, OLDER)
        assert (is_temporary(caught.value), explain(caught.value)) == (True, "another process is writing to it")
    assert state_of(path)[0] == OLDER


def lock(store: sqlite3.Connection) -> None:
    store.execute("BEGIN EXCLUSIVE")


@pytest.mark.slow
def test_a_failed_migration_gives_mlflows_reason(older: Path) -> None:
    root = older
    with closing(sqlite3.connect(root / "mlflow.db")) as store, store:
        store.execute("CREATE TABLE webhooks (x)")
    before = (root / "mlflow.db").read_bytes()
    with pytest.raises(
        PiecewiseError,
        match=r"MLflow could not migrate mlflow\.db: .+table webhooks already exists; the store is as it was",
    ):
        prepare(Project(root))
    assert (root / "mlflow.db").read_bytes() == before
    assert (root / f"mlflow.db.before-{OLDER}").exists()
