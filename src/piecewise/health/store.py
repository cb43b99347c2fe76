"""Looking at MLflow's embedded store, with SQLite alone and without writing to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from piecewise.health.findings import Finding, fault, fine, note
from piecewise.jobs.blocked import reinstall
from piecewise.runs.record import all_runs, tracking_uri
from piecewise.tracking.artifacts import local_path
from piecewise.tracking.schema import schema_head, schema_revisions
from piecewise.tracking.store import EMBEDDED

STORE = "mlflow.db"
ARTIFACTS = "mlartifacts"
QUICK_CHECK = "PRAGMA quick_check(1)"  # "ok", or the first thing that is wrong
UPGRADE = f"cp {STORE} {STORE}.before && mlflow db upgrade {EMBEDDED}"
BUSY = 1.0  # seconds to wait for whoever writes
LOCATIONS = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}


def schema(root: Path) -> Iterator[Finding]:
    """Whether the store is a sound database of the revision that the installed MLflow expects."""
    if not (root / STORE).is_file():
        yield _absent(root)
        return
    try:
        with closing(open_read_only(root)) as store:
            (sound,) = store.execute(QUICK_CHECK).fetchone()
            named = store.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            revision = store.execute("SELECT version_num FROM alembic_version").fetchone() if named else None
    except sqlite3.DatabaseError as error:
        yield _unreadable(error, root)
        return
    if sound != "ok":
        yield fault(f"{STORE} is corrupt: {' '.join(sound.split())}", _anew(root))
    elif revision is None:
        yield fault(f"{STORE} names no schema revision: whoever created it did not finish", _anew(root))
    elif revision[0] != schema_head():
        yield _other_schema(revision[0], root)


def _absent(root: Path) -> Finding:
    if tracking_uri(root) == EMBEDDED and all_runs(root):
        return note(f"there are runs, but no {STORE}", "piecewise sync")
    return fine(f"there is no {STORE} yet; the first run makes it")


def _unreadable(error: sqlite3.DatabaseError, root: Path) -> Finding:
    """Raises `error` if it says neither that the file is corrupt nor that somebody writes, or was killed writing."""
    name = error.sqlite_errorname
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return fault(f"{STORE} is corrupt: {error}", _anew(root))
    if name.startswith("SQLITE_BUSY"):
        return note(f"{STORE} is being written and could not be looked at")
    if name == "SQLITE_READONLY_ROLLBACK":
        return note(
            f"{STORE} holds half of a write that was killed; whoever opens it next undoes that", "piecewise sync"
        )
    raise error


def _other_schema(revision: str, root: Path) -> Finding:
    what = f"{STORE} has schema {revision}, the installed MLflow wants {schema_head()}"
    if revision in schema_revisions():
        return fault(f"{what}, which is newer", UPGRADE)
    return fault(f"{what} and does not know the other", f"{reinstall()}, or if that is what you have, {_anew(root)}")


def artifact_locations(root: Path) -> Iterator[Finding]:
    """The store keeps absolute places: after a move, models and figures are looked for where the project was."""
    if not (root / STORE).is_file():
        return
    query = " UNION ".join(f"SELECT {LOCATIONS[t]} FROM {t} WHERE lifecycle_stage = 'active'" for t in LOCATIONS)
    try:
        with closing(open_read_only(root)) as store:
            locations = [location for (location,) in store.execute(query) if location is not None]
    except sqlite3.DatabaseError as error:
        yield note(f"not looked at: {error}")
        return
    outside = [location for location in locations if not _is_inside(location, root)]
    if outside:
        what = f"{len(outside)} of {len(locations)} artifact locations are not in this project, such as {outside[0]}"
        yield fault(f"{what}: it was moved or copied here", _anew(root))


def _is_inside(location: str, root: Path) -> bool:
    """Whether a location is below the root, or not on this machine at all."""
    place = local_path(location)
    return place is None or (root / place).resolve().is_relative_to(root.resolve())


def _anew(root: Path) -> str:
    """The command that keeps the store aside and makes it again: the journals have everything."""
    names = f"{STORE}* {ARTIFACTS}" if (root / ARTIFACTS).is_dir() else f"{STORE}*"
    return f'mv {names} "$(mktemp -d runs/.aside.XXXXXX)" && piecewise sync'


def open_read_only(root: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{(root / STORE).absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY)
