"""Looking at MLflow's embedded store, with SQLite alone and without writing to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from piecewise.execution.blocked_releases import reinstall
from piecewise.health.findings import Finding, fault, fine, note
from piecewise.journal.run_folder import all_runs
from piecewise.project import STORE, Project
from piecewise.tracking.store.addresses import local_path
from piecewise.tracking.store.embedded import QUICK_CHECK, REBUILD
from piecewise.tracking.store.filesystem import ELSEWHERE, network_kind
from piecewise.tracking.store.mlflow_internals import (
    ACTIVE_ADDRESSES,
    known_revisions,
    newest_revision,
    schema_revision,
)
from piecewise.tracking.store.open import EMBEDDED
from piecewise.tracking.store.relocation import moved_roots, new_address
from piecewise.tracking.sync.sync_runs import tracking_uri

SYNC = "piecewise sync"
WRITE_AHEAD = b"\x02\x02"  # in bytes 18 and 19 of a database with such a log
T = TypeVar("T")
BUSY = 1.0  # seconds to wait for whoever writes


def schema(project: Project) -> Iterator[Finding]:
    """Whether the store is a sound database of the revision that the installed MLflow expects."""
    kind = network_kind(project.store)
    if kind is not None and tracking_uri(project) == EMBEDDED:
        yield fault(f"{STORE} would lie on {kind}, a network file system, and is refused there", ELSEWHERE)
    if not project.store.is_file():
        yield _absent(project)
        return
    try:
        sound, revision = look(project, lambda store: (*store.execute(QUICK_CHECK).fetchone(), schema_revision(store)))
    except sqlite3.DatabaseError as error:
        yield _unreadable(error)
        return
    if sound != "ok":
        yield fault(f"{STORE} is corrupt: {' '.join(sound.split())}", REBUILD)
    elif revision is None:
        yield fault(f"{STORE} names no schema revision: its creation did not finish", REBUILD)
    elif revision != newest_revision():
        yield _other_schema(revision)


def _absent(project: Project) -> Finding:
    if tracking_uri(project) == EMBEDDED and all_runs(project):
        return note(f"there are runs, but no {STORE}", SYNC)
    return fine(f"there is no {STORE} yet; the first run makes it")


def _unreadable(error: sqlite3.DatabaseError) -> Finding:
    """Raises `error` if it says neither that the file is corrupt nor that somebody writes, or was killed writing."""
    name = error.sqlite_errorname
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return fault(f"{STORE} is corrupt: {error}", REBUILD)
    if name.startswith("SQLITE_BUSY"):
        return note(f"{STORE} is being written and could not be looked at")
    if name == "SQLITE_READONLY_ROLLBACK":
        return note(f"{STORE} holds half of a write that was killed; whoever opens it next undoes that", SYNC)
    raise error


def _other_schema(revision: str) -> Finding:
    what = f"{STORE} has schema {revision}, the installed MLflow wants {newest_revision()}"
    if revision in known_revisions():
        return fault(f"{what}, which is newer", f"{SYNC}, which keeps a copy and migrates it")
    return fault(f"{what} and does not know the other", f"{reinstall()}, or if that is what you have, {REBUILD}")


def artifact_locations(project: Project) -> Iterator[Finding]:
    """The store keeps absolute places: after a move, models and figures are looked for where the project was."""
    if not project.store.is_file():
        return
    try:
        locations, moved = look(project, lambda store: (_active_addresses(store), moved_roots(store, project)))
    except sqlite3.DatabaseError as error:
        yield note(f"not looked at: {error}")
        return
    outside = [location for location in locations if not _is_inside(location, project)]
    if outside:
        what = f"{len(outside)} of {len(locations)} artifact locations are not in this project, such as {outside[0]}"
        is_mended = all(new_address(location, moved, project) for location in outside)
        remedy = f"{SYNC}, or any command that opens the store" if is_mended else REBUILD
        yield fault(f"{what}: it was moved or copied here", remedy)


def _active_addresses(store: sqlite3.Connection) -> list[str]:
    return [address for (address,) in store.execute(ACTIVE_ADDRESSES)]


def _is_inside(location: str, project: Project) -> bool:
    """Whether a location is below the project, or not on this machine at all."""
    place = local_path(location)
    return place is None or (project / place).resolve().is_relative_to(project.root.resolve())


def look(project: Project, ask: Callable[[sqlite3.Connection], T]) -> T:
    """What `ask` finds in the store, to which nothing is written, nor beside it."""
    path = project.store.resolve()
    log, before = path.with_name(f"{path.name}-wal"), path.stat().st_mtime_ns

    def is_closed() -> bool:
        return not log.exists() and path.stat().st_mtime_ns == before

    with path.open("rb") as file:
        has_log = file.read(20)[18:] == WRITE_AHEAD
    if has_log and is_closed():  # so that SQLite may be told that nobody changes it, and leaves no log of its own
        try:
            found = _ask(path, "immutable=1", ask)
        except sqlite3.DatabaseError:
            if is_closed():
                raise
        else:
            if is_closed():
                return found
    return _ask(path, "mode=ro", ask)


def _ask(path: Path, how: str, ask: Callable[[sqlite3.Connection], T]) -> T:
    with closing(sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, timeout=BUSY)) as store:
        return ask(store)
