"""The embedded store stays intact with 16 processes at once, killed builders and failing system calls."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from piecewise.project import Project
from piecewise.tracking.store.embedded import prepare
from piecewise.tracking.store.mlflow_internals import newest_revision, schema_revision
from piecewise.tracking.store.schema import build
from store_processes import StoreProcesses
from trials import Trials

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of SQLAlchemy
NEW = ".mlflow.db.new"


@pytest.fixture(scope="module")
def processes() -> Iterator[StoreProcesses]:
    processes = StoreProcesses()
    yield processes
    processes.close()


def errors_of(answers: list[dict[str, object]]) -> list[object]:
    return [answer["error"] for answer in answers if "error" in answer]


def is_whole(root: Path) -> bool:
    """Whether there is a store. Fails if the store is incomplete or not in WAL mode."""
    path = root / "mlflow.db"
    if not path.exists():
        return False
    assert path.read_bytes()[18:20] == b"\x02\x02"
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert schema_revision(store) == newest_revision()
        rows = store.execute("SELECT name, lifecycle_stage FROM experiments WHERE experiment_id = 0").fetchall()
        assert rows == [("Default", "deleted")]
    return True


@pytest.mark.slow
def test_sixteen_processes_open_a_store_that_does_not_exist(
    processes: StoreProcesses, tmp_path: Path, trials: Trials
) -> None:
    for number, _ in enumerate(trials("16 processes open a store that does not exist, and write to it", 50)):
        root = tmp_path / f"é {number}"
        assert errors_of(processes.call("open_and_write", root, 16)) == []
        assert is_whole(root)
        with closing(sqlite3.connect(root / "mlflow.db")) as store:
            values = store.execute("SELECT value FROM metrics ORDER BY value").fetchall()
        assert values == [(float(value),) for value in range(16)]
        assert not (root / NEW).exists()


@pytest.mark.slow
def test_builders_killed_at_any_moment(processes: StoreProcesses, tmp_path: Path, trials: Trials) -> None:
    """Half of the kills come while the file is written, which is the shortest part."""
    begun = time.perf_counter()
    processes.call("prepare", tmp_path / "undisturbed", 2)
    seconds, killed = time.perf_counter() - begun, 0
    for number, rng in enumerate(trials("builders of a store killed at random moments, two at a time", 50)):
        root = tmp_path / str(number)
        sign = root / NEW if number % 2 == 0 else None
        most = 0.05 if sign else seconds
        delays = [rng.random() * most, rng.random() * most]
        answers = processes.call("prepare", root, 2, kill_after=delays, sign=str(sign) if sign else None)
        assert set(errors_of(answers)) <= {"ended with -9"}
        killed += len(errors_of(answers))
        is_whole(root)
        assert errors_of(processes.call("open_and_write", root, 1)) == []
        assert is_whole(root)
        assert {path.name for path in root.iterdir()} <= {"mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "runs"}
    assert killed  # some kills come in time


# The paths `/begin` and `/end` do not exist: they mark the building among the system calls of the process.
PREPARE = """
import os, shutil, sqlite3, sys
from contextlib import closing
from pathlib import Path
from piecewise.project import Project
from piecewise.tracking.store import embedded
from piecewise.tracking.store import schema
schema._upgrade = lambda path, name: shutil.copyfile(sys.argv[2], path)
schema.new_store = lambda artifacts: closing(sqlite3.connect(sys.argv[2]))
os.access("/begin", os.F_OK)
embedded.prepare(Project(Path(sys.argv[1])))
os.access("/end", os.F_OK)
"""
CALLS = [
    "openat",
    "pwrite64",
    "pread64",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "ftruncate",
    "mmap",
    "flock",
    "mkdir",
]
FAULTS = ["signal=KILL", "error=ENOSPC", "error=EIO"]


def prepare_under(log: Path, root: Path, made: Path, *options: str) -> int:
    """Prepare a store under strace, which records system calls or fails them. `made` replaces MLflow's new store."""
    root.mkdir(parents=True, exist_ok=True)
    command = ["strace", "-o", str(log), "-e", f"trace=access,{','.join(CALLS)}", *options]
    command += [sys.executable, "-c", PREPARE, str(root), str(made)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60).returncode


def points_of(log: Path) -> list[tuple[str, int]]:
    """The system calls between the marks: each with its name and its number among calls of that name."""
    counts: dict[str, int] = {}
    found, is_inside = [], False
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\(", line)
        if match is not None:
            counts[match[1]] = counts.get(match[1], 0) + 1
            is_inside = (is_inside or '"/begin"' in line) and '"/end"' not in line
            if is_inside and match[1] != "access":
                found.append((match[1], counts[match[1]]))
    return found


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_building_that_fails_at_any_system_call(tmp_path: Path, trials: Trials) -> None:
    made = tmp_path / "made.db"
    build(made, Project(tmp_path))
    for name in ("first", "whole"):  # the first one fills Python's caches
        assert prepare_under(tmp_path / "log", tmp_path / name, made) == 0
    points = points_of(tmp_path / "log")
    assert len(points) > 100
    rare = [point for point in points if point[0] not in ("pwrite64", "pread64")]  # pages are written one by one
    for number, rng in enumerate(trials("buildings of a store killed or failed at system calls", 150)):
        name, count = rng.choice(rare if number % 2 else points)
        fault = rng.choice(FAULTS)
        root, log = tmp_path / str(number), tmp_path / f"{number}.log"
        code = prepare_under(log, root, made, "-e", f"inject={name}:{fault}:when={count}")
        assert re.search("killed by SIGKILL|INJECTED", log.read_text(errors="replace")), (name, count, fault)
        assert is_whole(root) or code != 0, (name, count, fault)
        prepare_from(root, made)
        assert is_whole(root)
        assert {path.name for path in root.iterdir()} == {"mlflow.db", "runs"}


OLDER = "cbc13b556ace"


def make_older_store(root: Path) -> Path:
    """An MLflow 3.1 store with the tables that `prepare` reads. Its last write is only in the WAL, as after a kill."""
    root.mkdir()
    with closing(sqlite3.connect(root / "open.db", isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("CREATE TABLE alembic_version (version_num TEXT)")
        store.execute("INSERT INTO alembic_version VALUES (?)", (OLDER,))
        store.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT)")
        store.executemany("INSERT INTO experiments VALUES (?, ?, NULL)", [(n, "x" * 500) for n in range(1, 101)])
        for end in ("", "-wal"):
            shutil.copy(root / f"open.db{end}", root / f"mlflow.db{end}")
    (root / "open.db").unlink()
    return root


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_migration_that_fails_at_any_system_call(tmp_path: Path, trials: Trials) -> None:
    """The store has the old or the new schema, and the old file is kept."""
    made = tmp_path / "made.db"
    build(made, Project(tmp_path))
    assert prepare_under(tmp_path / "log", make_older_store(tmp_path / "whole"), made) == 0
    points = points_of(tmp_path / "log")
    assert len(points) > 100
    rare = [point for point in points if point[0] not in ("pwrite64", "pread64")]
    for number, rng in enumerate(trials("migrations of a store killed or failed at system calls", 150)):
        name, count = rng.choice(rare if number % 2 else points)
        fault = rng.choice(FAULTS)
        root, log = make_older_store(tmp_path / str(number)), tmp_path / f"{number}.log"
        prepare_under(log, root, made, "-e", f"inject={name}:{fault}:when={count}")
        assert re.search("killed by SIGKILL|INJECTED", log.read_text(errors="replace")), (name, count, fault)
        assert experiments_of(root / "mlflow.db") in ((OLDER, 100), (newest_revision(), 1)), (name, count, fault)
        prepare_from(root, made)
        assert experiments_of(root / "mlflow.db") == (newest_revision(), 1)
        assert experiments_of(root / f"mlflow.db.before-{OLDER}") == (OLDER, 100)
        assert {path.name for path in root.iterdir()} == {"mlflow.db", f"mlflow.db.before-{OLDER}", "runs"}


def experiments_of(path: Path) -> tuple[str | None, int]:
    """The schema of a store, and how many experiments it has."""
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return schema_revision(store), store.execute("SELECT count(*) FROM experiments").fetchone()[0]


def prepare_from(root: Path, made: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("piecewise.tracking.store.schema.new_store", lambda artifacts: closing(sqlite3.connect(made)))
        patch.setattr("piecewise.tracking.store.schema._upgrade", lambda path, name: shutil.copyfile(made, path))
        prepare(Project(root))
