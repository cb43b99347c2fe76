"""Errors of SQLite's own making, and what is said about them."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from piecewise.errors import BadInput, TryAgain
from piecewise.tracking.store.errors import ACT, LATER, Trouble, explain, is_busy, trouble_of


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("CREATE TABLE t (x TEXT)")
        store.execute("CREATE TABLE u (x TEXT)")
    return path


def locked(path: Path) -> None:
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as holder,
        closing(sqlite3.connect(path, timeout=0)) as other,
    ):
        holder.execute("BEGIN EXCLUSIVE")
        other.execute("INSERT INTO t VALUES (1)")


def read_only(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as store:
        store.execute("INSERT INTO t VALUES (1)")


def full(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA max_page_count = 3")
        store.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))


def replaced(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("SELECT * FROM t").fetchall()
        path.unlink()
        store.execute("INSERT INTO t VALUES (1)")


def no_database(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    with closing(sqlite3.connect(path)) as store:
        store.execute("SELECT * FROM t")


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)
    with closing(sqlite3.connect(path)) as store:
        store.execute("SELECT * FROM t").fetchall()


def absent(path: Path) -> None:
    with closing(sqlite3.connect(path / "absent" / "x.db")) as store:
        store.execute("SELECT 1")


@pytest.mark.parametrize(
    ("cause", "is_later", "words"),
    [
        (locked, True, "somebody is writing to it"),
        (replaced, True, "it was replaced while it was open"),
        (read_only, False, "chmod u+w mlflow.db*, then piecewise sync"),
        (full, False, "make room (piecewise clean says what can go), then piecewise sync"),
        (no_database, False, "piecewise sync --rebuild"),
        (torn, False, "piecewise sync --rebuild"),
        (absent, False, "piecewise doctor says why"),
    ],
)
def test_each_error_says_whether_to_wait_or_what_to_do(
    database: Path, cause: Callable[[Path], None], is_later: bool, words: str
) -> None:
    with pytest.raises(sqlite3.Error) as caught:
        cause(database)
    trouble = trouble_of(caught.value)
    assert trouble is not None
    assert (trouble.is_later, is_busy(caught.value)) == (is_later, is_later)
    assert words in trouble.what
    assert explain(caught.value) == trouble.what


@pytest.mark.parametrize("name", [name for name in vars(sqlite3) if name.startswith("SQLITE_IOERR")])
def test_every_failure_of_a_disk_has_a_remedy(name: str) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    trouble = trouble_of(error)
    assert trouble is not None
    assert not trouble.is_later
    assert ";" in trouble.what


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("SQLITE_BUSY_SNAPSHOT", LATER["SQLITE_BUSY"]),
        ("SQLITE_BUSY_RECOVERY", LATER["SQLITE_BUSY"]),
        ("SQLITE_LOCKED_SHAREDCACHE", LATER["SQLITE_BUSY"]),
        ("SQLITE_READONLY_DBMOVED", LATER["SQLITE_READONLY_DBMOVED"]),
        ("SQLITE_READONLY_DIRECTORY", ACT["SQLITE_READONLY_DIRECTORY"]),
        ("SQLITE_READONLY_CANTINIT", ACT["SQLITE_READONLY"]),
        ("SQLITE_IOERR_WRITE", ACT["SQLITE_FULL"]),
        ("SQLITE_IOERR_SHMMAP", ACT["SQLITE_IOERR_SHM"]),
        ("SQLITE_CORRUPT_INDEX", ACT["SQLITE_CORRUPT"]),
    ],
)
def test_longer_names_are_the_nearest_shorter_ones(name: str, what: str) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = name
    assert trouble_of(error) == Trouble(what, is_later=what in LATER.values())


def test_cause_is_found_below_what_mlflow_makes_of_it() -> None:
    below = sqlite3.OperationalError("database is locked")
    below.sqlite_errorname = "SQLITE_BUSY"
    middle = RuntimeError("SQLAlchemy's")
    middle.__cause__ = below
    above = RuntimeError("MLflow's")
    above.__cause__ = middle
    assert is_busy(above)
    assert explain(above) == "somebody is writing to it"


@pytest.mark.parametrize(
    ("error", "trouble", "line"),
    [
        (TryAgain("later"), Trouble("later", is_later=True), "later"),
        (OSError(errno.ENOSPC, "x"), Trouble(ACT["SQLITE_FULL"]), ACT["SQLITE_FULL"]),
        (OSError(errno.ENOENT, "x"), None, "FileNotFoundError: [Errno 2] x"),
        (sqlite3.IntegrityError("not\nunique"), None, "IntegrityError: not unique"),
        (BadInput("key=1; allowed: 2"), None, "key=1; allowed: 2"),
        (RuntimeError("x" * 1000), None, "RuntimeError: " + "x" * 300),
    ],
)
def test_what_is_about_something_else_is_no_trouble_of_the_store(
    error: Exception, trouble: Trouble | None, line: str
) -> None:
    assert trouble_of(error) == trouble
    assert explain(error) == line
    assert trouble_of(None) is None
