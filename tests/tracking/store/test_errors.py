"""Real errors of SQLite, and what users are told about them."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from piecewise.errors import BadInput, TryAgain
from piecewise.tracking.store.errors import PERMANENT, TEMPORARY, StoreProblem, explain, is_temporary, store_problem


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
    ("cause", "waits", "words"),
    [
        (locked, True, "another process is writing to it"),
        (replaced, True, "it was replaced while it was open"),
        (read_only, False, "chmod u+w mlflow.db*, then piecewise sync"),
        (full, False, "make room (piecewise clean says what can go), then piecewise sync"),
        (no_database, False, "piecewise sync --rebuild"),
        (torn, False, "piecewise sync --rebuild"),
        (absent, False, "piecewise doctor says why"),
    ],
)
def test_each_error_says_whether_to_wait_or_what_to_do(
    database: Path, cause: Callable[[Path], None], waits: bool, words: str
) -> None:
    with pytest.raises(sqlite3.Error) as caught:
        cause(database)
    problem = store_problem(caught.value)
    assert problem is not None
    assert (problem.is_temporary, is_temporary(caught.value)) == (waits, waits)
    assert words in problem.message
    assert explain(caught.value) == problem.message


@pytest.mark.parametrize("name", [name for name in vars(sqlite3) if name.startswith("SQLITE_IOERR")])
def test_every_disk_error_has_a_remedy(name: str) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    problem = store_problem(error)
    assert problem is not None
    assert not problem.is_temporary
    assert ";" in problem.message


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("SQLITE_BUSY_SNAPSHOT", TEMPORARY["SQLITE_BUSY"]),
        ("SQLITE_BUSY_RECOVERY", TEMPORARY["SQLITE_BUSY"]),
        ("SQLITE_LOCKED_SHAREDCACHE", TEMPORARY["SQLITE_BUSY"]),
        ("SQLITE_READONLY_DBMOVED", TEMPORARY["SQLITE_READONLY_DBMOVED"]),
        ("SQLITE_READONLY_DIRECTORY", PERMANENT["SQLITE_READONLY_DIRECTORY"]),
        ("SQLITE_READONLY_CANTINIT", PERMANENT["SQLITE_READONLY"]),
        ("SQLITE_IOERR_WRITE", PERMANENT["SQLITE_FULL"]),
        ("SQLITE_IOERR_SHMMAP", PERMANENT["SQLITE_IOERR_SHM"]),
        ("SQLITE_CORRUPT_INDEX", PERMANENT["SQLITE_CORRUPT"]),
    ],
)
def test_the_first_matching_prefix_of_an_errors_name_decides(name: str, what: str) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = name
    assert store_problem(error) == StoreProblem(what, is_temporary=what in TEMPORARY.values())


def test_the_cause_of_mlflows_error_is_explained() -> None:
    below = sqlite3.OperationalError("database is locked")
    below.sqlite_errorname = "SQLITE_BUSY"
    middle = RuntimeError("SQLAlchemy's")
    middle.__cause__ = below
    above = RuntimeError("MLflow's")
    above.__cause__ = middle
    assert is_temporary(above)
    assert explain(above) == "another process is writing to it"


@pytest.mark.parametrize(
    ("error", "problem", "line"),
    [
        (TryAgain("later"), StoreProblem("later", is_temporary=True), "later"),
        (OSError(errno.ENOSPC, "x"), StoreProblem(PERMANENT["SQLITE_FULL"]), PERMANENT["SQLITE_FULL"]),
        (OSError(errno.ENOENT, "x"), None, "FileNotFoundError: [Errno 2] x"),
        (sqlite3.IntegrityError("not\nunique"), None, "IntegrityError: not unique"),
        (BadInput("key=1; allowed: 2"), None, "key=1; allowed: 2"),
        (RuntimeError("x" * 1000), None, "RuntimeError: " + "x" * 300),
    ],
)
def test_other_errors_are_no_problem_of_the_store(error: Exception, problem: StoreProblem | None, line: str) -> None:
    assert store_problem(error) == problem
    assert explain(error) == line
    assert store_problem(None) is None


@pytest.mark.parametrize("name", ["SQLITE_READONLY", "SQLITE_READONLY_DIRECTORY", "SQLITE_PERM", "SQLITE_CANTOPEN"])
def test_on_a_read_only_disk_nothing_is_said_of_permissions(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorname = name
    before = explain(error)
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_flag=os.ST_RDONLY | os.ST_NOSUID))
    assert before != explain(error) == explain(OSError(errno.EROFS, "x"))
    assert "chmod" not in explain(error)
    assert "mounted read-only" in explain(error)


@pytest.mark.parametrize(
    ("code", "is_of_store"),
    [("RESOURCE_DOES_NOT_EXIST", False), ("NOT_FOUND", False), ("ENDPOINT_NOT_FOUND", True)],
)
def test_a_missing_run_is_not_a_missing_server(code: str, is_of_store: bool) -> None:
    from mlflow.exceptions import RestException

    error = RestException({"error_code": code, "message": "No Run with id=7 exists"})
    assert (store_problem(error) is not None) is is_of_store
    said = "there is no MLflow at that address" if is_of_store else "RestException"
    assert explain(error).startswith(said)
    assert is_of_store or "No Run with id=7 exists" in explain(error)


def test_an_address_without_mlflow_is_said() -> None:
    from mlflow.exceptions import MlflowException

    error = MlflowException("API request to endpoint /api failed with error code 404 != 200. Response body: '<html>'")
    assert explain(error).startswith("there is no MLflow at that address")
