"""Building, checking and setting aside the embedded store."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from piecewise.errors import BadInput, PiecewiseError, TryAgain
from piecewise.project import Project
from piecewise.tracking.store import embedded
from piecewise.tracking.store.embedded import CorruptStore, prepare, set_aside
from piecewise.tracking.store.mlflow_internals import newest_revision, schema_revision

pytestmark = pytest.mark.filterwarnings("ignore")  # SQLAlchemy's own


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("embedded") / "a project"
    prepare(Project(root))
    return root


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "a project"
    shutil.copytree(built, copy)
    return copy


@contextmanager
def store_of(root: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(root / "mlflow.db", isolation_level=None)) as store:
        yield store


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def test_a_new_store_is_one_file(built: Path) -> None:
    assert names(built) == {"mlflow.db", "runs"}
    with store_of(built) as store:
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert schema_revision(store) == newest_revision()
        rows = store.execute("SELECT name, artifact_location, lifecycle_stage FROM experiments").fetchall()
    assert rows == [("Default", (built / "mlartifacts" / "0").as_uri(), "deleted")]


def test_files_of_a_killed_builder_are_removed(root: Path) -> None:
    (root / "mlflow.db").unlink()
    for name in (".mlflow.db.new", ".mlflow.db.new-wal", ".mlflow.db.new-journal", "mlflow.db-wal", "mlflow.db-shm"):
        (root / name).write_bytes(b"half")
    prepare(Project(root))
    assert names(root) == {"mlflow.db", "runs"}
    with store_of(root) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_sound_store_is_not_changed(root: Path) -> None:
    prepare(Project(root))  # the copy gets its new addresses
    before = (root / "mlflow.db").read_bytes()
    prepare(Project(root))
    assert (root / "mlflow.db").read_bytes() == before


def test_a_store_without_a_write_ahead_log_gets_one(root: Path) -> None:
    with store_of(root) as store:
        assert store.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    prepare(Project(root))
    with store_of(root) as store:
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_store_in_use_gets_its_write_ahead_log_later(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "BUSY_SECONDS", 0.05)
    prepare(Project(root))  # the copy gets its new addresses
    with store_of(root) as store:
        store.execute("PRAGMA journal_mode = DELETE")
        store.execute("BEGIN")
        store.execute("SELECT * FROM experiments").fetchall()
        prepare(Project(root))
        assert store.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    prepare(Project(root))
    with store_of(root) as store:
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_database(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def torn(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 // 4096 * 4096])


def flipped(path: Path) -> None:
    """Overwrite every page but the first: the header and the list of tables stay readable."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def half_built(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("DROP TABLE alembic_version")


@pytest.mark.parametrize("damage", [empty, no_database, torn, flipped, half_built])
def test_a_corrupt_store_names_the_command_that_rebuilds_it(root: Path, damage: Callable[[Path], None]) -> None:
    damage(root / "mlflow.db")
    before = (root / "mlflow.db").read_bytes()
    with pytest.raises(CorruptStore, match=r"mlflow\.db is corrupt \(.+\); piecewise sync --rebuild keeps it aside"):
        prepare(Project(root))
    assert (root / "mlflow.db").read_bytes() == before


def test_store_of_a_newer_mlflow_is_refused(root: Path) -> None:
    with store_of(root) as store:
        store.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(PiecewiseError, match="has schema ffffffffffff, which the installed MLflow does not know"):
        prepare(Project(root))


def test_a_read_only_store_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write to anything
    with pytest.raises(PiecewiseError, match=r"mlflow\.db: it may not be written; chmod u\+w mlflow\.db\*, then"):
        prepare(Project(root))
    assert names(root) == {"mlflow.db", "runs"}


def test_file_system_without_shared_memory_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from piecewise.tracking.store import schema

    monkeypatch.setattr(schema, "USE_LOG", "PRAGMA journal_mode = MEMORY")  # SQLite's answer where it cannot have a log
    with pytest.raises(BadInput, match=r"cannot have a write-ahead log on its file system \(memory\)"):
        prepare(Project(tmp_path / "other"))
    assert not (tmp_path / "other" / "mlflow.db").exists()


def test_a_link_to_the_store_is_followed(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.move(root / "mlflow.db", other / "store.db")
    (root / "mlflow.db").symlink_to(other / "store.db")
    prepare(Project(root))
    assert (root / "mlflow.db").is_symlink()
    (other / "store.db").unlink()
    prepare(Project(root))
    assert (root / "mlflow.db").is_symlink()
    with store_of(root) as store:
        assert schema_revision(store) == newest_revision()


def test_waiting_for_the_lock_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from piecewise.locks import file_lock

    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.0)
    with (
        file_lock(root / "runs" / ".store.lock"),
        pytest.raises(TryAgain, match=rf"process {os.getpid()} .*has been preparing mlflow\.db for 0 s"),
    ):
        prepare(Project(root))


def test_an_error_under_the_lock_is_not_taken_for_a_held_lock(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise BlockingIOError("no process can be started")

    monkeypatch.setattr(embedded, "_check", fail)
    with pytest.raises(BlockingIOError, match="no process can be started"):
        prepare(Project(root))


def test_a_store_that_another_process_has_open_is_not_set_aside(root: Path) -> None:
    prepare(Project(root))  # the use by this process counts no more once it sets the store aside
    with (root / "runs" / ".store.users").open("rb") as another:
        fcntl.flock(another, fcntl.LOCK_SH)
        with pytest.raises(TryAgain, match=rf"mlflow\.db is open in process {os.getpid()} \(.*nothing was moved"):
            set_aside(Project(root))
        prepare(Project(root))  # many share it
    assert (root / "mlflow.db").is_file()
    assert set_aside(Project(root)) is not None


def test_store_and_artifacts_are_set_aside_once(root: Path) -> None:
    (root / "mlartifacts" / "x").mkdir(parents=True)
    for name in ("mlflow.db-wal", "mlflow.db-shm", "mlflow.db.before-1", "mlartifacts/x/y"):
        (root / name).write_bytes(b"x")
    before = (root / "mlflow.db").read_bytes()
    aside = set_aside(Project(root))
    assert aside is not None
    assert (aside.parent, aside.name[:7], aside.stat().st_mode & 0o777) == (root / "runs", ".aside-", 0o700)
    assert names(aside) == {"mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlflow.db.before-1", "mlartifacts"}
    assert (aside / "mlflow.db").read_bytes() == before
    assert names(root) == {"runs"}
    assert set_aside(Project(root)) is None
