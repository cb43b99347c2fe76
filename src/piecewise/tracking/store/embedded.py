"""The embedded store, one SQLite file at the project's root: made whole or not at all, and looked at before it is used.

Whatever is changed here, except by MLflow itself, is changed under one lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from piecewise.durable import alone, flush_folder
from piecewise.errors import BadInput, PiecewiseError, TryAgain
from piecewise.project import STORE, Project
from piecewise.tracking.store.errors import is_busy
from piecewise.tracking.store.filesystem import refuse_network
from piecewise.tracking.store.migration import copy_of, migrate, remove_database
from piecewise.tracking.store.new_store import LOG, aside_of, build
from piecewise.tracking.store.relocation import re_root
from piecewise.tracking.store.schema import schema_head, schema_revisions

ASIDE = ".aside-"  # begins the name of a folder, below runs/, with a store that was set aside
LOCK = Path("runs", ".store.lock")
QUICK_CHECK = "PRAGMA quick_check(1)"  # "ok", or the first thing that is wrong
REBUILD = "piecewise sync --rebuild"
BUSY = 20.0  # seconds to wait for whoever writes, as MLflow does
PATIENCE = 120.0  # and for whoever builds or migrates
LOG_PATIENCE = 1.0  # and to give an old store its log, which needs it for a moment without anybody
_sound: set[tuple[int, int]] = set()  # the files that this process has found sound: a look reads all of them


class CorruptStore(PiecewiseError):
    """The store cannot be used, and the journals have everything that was in it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{STORE} is corrupt ({what}); {REBUILD} keeps it aside and makes it again from the journals")


def prepare(project: Project) -> None:
    """Build the store if there is none; else see that it is sound, of MLflow's schema, and knows where it is.

    Raises BadInput on a network file system, before anything is created; CorruptStore; TryAgain; PiecewiseError if
    the file may not be written or is of a newer MLflow.
    """
    path = project.store.resolve()  # a link is followed, not replaced
    refuse_network(path)
    if "?" in str(path):  # where the file's name would end for SQLAlchemy
        raise BadInput(f"{path} cannot be MLflow's store; allowed: a path without a question mark")
    with _held(project):
        for left in (aside_of(path), copy_of(path)):  # by somebody who was killed here
            remove_database(left)
        if not path.exists():
            build(path, project)
        if not os.access(path, os.W_OK):
            raise PiecewiseError(f"{STORE} may not be written; chmod u+w {STORE}*, then piecewise sync")
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", timeout=BUSY, uri=True)) as store:
            store.isolation_level = None  # transactions are begun by hand
            _look(path, store)
            _use_log(store)
            re_root(store, project)


def set_aside(project: Project) -> Path | None:
    """Move the store and its artifacts to a folder of their own, which is returned; None if there is nothing to move.

    The database goes last: a kill before that leaves a store that can be set aside again. A log without its database
    would be taken for the log of the next one.
    Raises BadInput, with nothing moved, where no other could be made.
    """
    with _held(project):
        found = [project.artifacts, *sorted(project.root.glob(f"{STORE}?*")), project.store]
        found = [path for path in found if path.exists() or path.is_symlink()]
        if not found:
            return None
        refuse_network(project.store.resolve())
        aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=project / LOCK.parent))
        for path in found:
            shutil.move(path, aside / path.name)
        flush_folder(aside)
        flush_folder(project.root)
        return aside


def _look(path: Path, store: sqlite3.Connection) -> None:
    """Raises CorruptStore, and PiecewiseError for a schema that the installed MLflow does not know."""
    identity = (path.stat().st_dev, path.stat().st_ino)
    try:
        (sound,) = ("ok",) if identity in _sound else store.execute(QUICK_CHECK).fetchone()
        revision = revision_of(store)
    except sqlite3.DatabaseError as error:
        if not error.sqlite_errorname.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise
        raise CorruptStore(str(error)) from error
    if sound != "ok":
        raise CorruptStore(" ".join(sound.split()))
    if revision is None:
        raise CorruptStore("it names no schema revision: whoever created it did not finish")
    _sound.add(identity)
    if revision == schema_head():
        return
    if revision not in schema_revisions():
        raise PiecewiseError(
            f"{STORE} has schema {revision}, which the installed MLflow does not know: a newer one made it; "
            f"install that again, or {REBUILD} makes it anew for this one"
        )
    migrate(path, store, revision)


def revision_of(store: sqlite3.Connection) -> str | None:
    """The schema's revision; None if the database names none."""
    if store.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = store.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _use_log(store: sqlite3.Connection) -> None:
    """Also for a store of before: with a write-ahead log nobody who reads waits, and who writes waits less."""
    if store.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        return
    store.execute(f"PRAGMA busy_timeout = {int(LOG_PATIENCE * 1000)}")
    try:
        store.execute(LOG)
    except sqlite3.OperationalError as error:
        if not is_busy(error):  # else whoever opens it next will
            raise
    store.execute(f"PRAGMA busy_timeout = {int(BUSY * 1000)}")


@contextmanager
def _held(project: Project) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(alone(project / LOCK, PATIENCE))
        except BlockingIOError as error:
            raise TryAgain(f"somebody has been preparing {STORE} for {PATIENCE:.0f} s") from error
        yield
