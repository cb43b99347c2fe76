"""Checks of MLflow's embedded store, by SQLite alone, without writing to it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from piecewise.execution.blocked_releases import reinstall
from piecewise.health.findings import Finding, fault, fine, note
from piecewise.journal.run_folder import all_runs
from piecewise.project import STORE, Project
from piecewise.tracking.store.addresses import EMBEDDED, local_path, tracking_uri
from piecewise.tracking.store.embedded import QUICK_CHECK, REBUILD
from piecewise.tracking.store.errors import FULL, store_problem
from piecewise.tracking.store.filesystem import ELSEWHERE, network_kind
from piecewise.tracking.store.mlflow_internals import (
    ACTIVE_ADDRESSES,
    known_revisions,
    newest_revision,
    schema_revision,
)
from piecewise.tracking.store.relocation import moved_roots, new_address

SYNC = "piecewise sync"
WAL_FORMAT = b"\x02\x02"  # bytes 18 and 19 of a database with a write-ahead log
T = TypeVar("T")
LOCK_TIMEOUT_SECONDS = 1.0  # for another process that writes


def schema(project: Project) -> Iterator[Finding]:
    """The store must be an intact database with the schema of the installed MLflow."""
    kind = network_kind(project.store)
    if kind is not None and tracking_uri(project) == EMBEDDED:
        yield fault(f"{STORE} would lie on {kind}, a network file system, and is refused there", ELSEWHERE)
    if not project.store.is_file():
        yield _absent(project)
        return
    try:
        sound, revision = read_store(
            project, lambda store: (*store.execute(QUICK_CHECK).fetchone(), schema_revision(store))
        )
    except sqlite3.DatabaseError as error:
        yield _unreadable(error)
        return
    if sound != "ok":
        yield fault(f"{STORE} is corrupt: {' '.join(sound.split())}", REBUILD)
    elif revision is None:
        yield fault(f"{STORE} has no schema revision: its creation was interrupted", REBUILD)
    elif revision != newest_revision():
        yield _other_schema(revision)


def _absent(project: Project) -> Finding:
    if tracking_uri(project) == EMBEDDED and all_runs(project):
        return note(f"there are runs, but no {STORE}", SYNC)
    return fine(f"there is no {STORE} yet; the first run makes it")


def _unreadable(error: sqlite3.DatabaseError) -> Finding:
    """A finding if the file is corrupt or being written, or a writer was killed. Raises any other `error`."""
    name = error.sqlite_errorname
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return fault(f"{STORE} is corrupt: {error}", REBUILD)
    if name.startswith("SQLITE_BUSY"):
        return note(f"{STORE} is being written and could not be read")
    if name == "SQLITE_READONLY_ROLLBACK":
        return note(
            f"{STORE} has an unfinished write of a killed process; the next command that opens it undoes the write",
            SYNC,
        )
    problem = store_problem(error)
    if problem is not None and problem.message == FULL:
        return fault(f"{STORE} could not be read: its disk is full", "make room; piecewise clean says what can go")
    raise error


def _other_schema(revision: str) -> Finding:
    what = f"{STORE} has schema {revision}, but the installed MLflow needs {newest_revision()}"
    if revision in known_revisions():
        return fault(f"{what}, which is newer", f"{SYNC}, which keeps a copy and migrates it")
    return fault(f"{what} and does not know {revision}", f"{reinstall()}; if the right MLflow is installed, {REBUILD}")


def artifact_locations(project: Project) -> Iterator[Finding]:
    """The store keeps absolute paths: after a move, MLflow looks for models and figures in the old folder."""
    if not project.store.is_file():
        return
    try:
        rows, moved = read_store(
            project, lambda store: (store.execute(ACTIVE_ADDRESSES).fetchall(), moved_roots(store, project))
        )
    except sqlite3.DatabaseError as error:
        yield note(f"not checked: {error}")
        return
    locations = [location for (location,) in rows]
    outside = [location for location in locations if not _is_inside(location, project)]
    if outside:
        what = f"{len(outside)} of {len(locations)} artifact locations are not in this project, such as {outside[0]}"
        can_relocate = all(new_address(location, moved, project) for location in outside)
        remedy = f"{SYNC}, or any command that opens the store" if can_relocate else REBUILD
        yield fault(f"{what}: the project was moved or copied here", remedy)


def _is_inside(location: str, project: Project) -> bool:
    """Whether a location is below the project, or not on this machine at all."""
    path = local_path(location)
    return path is None or (project / path).resolve().is_relative_to(project.root.resolve())


def read_store(project: Project, query: Callable[[sqlite3.Connection], T]) -> T:
    """The result of `query` on the store. Writes nothing to the store or beside it."""
    path = project.store.resolve()
    log, before = path.with_name(f"{path.name}-wal"), path.stat().st_mtime_ns

    def is_closed() -> bool:
        return not log.exists() and path.stat().st_mtime_ns == before

    with path.open("rb") as file:
        has_log = file.read(20)[18:] == WAL_FORMAT
    if has_log and is_closed():  # `immutable` keeps SQLite from creating a log; it is safe while no process writes
        try:
            found = _query(path, "immutable=1", query)
        except sqlite3.DatabaseError:
            if is_closed():
                raise
        else:
            if is_closed():
                return found
    return _query(path, "mode=ro", query)


def _query(path: Path, mode: str, query: Callable[[sqlite3.Connection], T]) -> T:
    with closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=LOCK_TIMEOUT_SECONDS)) as store:
        return query(store)
