"""The embedded store: one SQLite file at the project's root. It is built, checked and set aside under one lock."""

import fcntl
import os
import shutil
import sqlite3
import tempfile
from contextlib import AbstractContextManager, closing
from pathlib import Path

from piecewise.durable import flush_folder
from piecewise.errors import PiecewiseError, TryAgain
from piecewise.locks import file_lock, holder, lock
from piecewise.project import STORE, Project
from piecewise.tracking.store.errors import READ_ONLY, READ_ONLY_DISK, is_on_read_only_disk, is_temporary
from piecewise.tracking.store.filesystem import refuse_network
from piecewise.tracking.store.mlflow_internals import known_revisions, newest_revision, schema_revision
from piecewise.tracking.store.relocation import re_root
from piecewise.tracking.store.runs_by_sql import add_indexes
from piecewise.tracking.store.schema import USE_LOG, build, migrate, remove_database, temporary_paths

ASIDE = ".aside-"  # begins the name of a folder below runs/ that holds a store set aside
LOCK = ".store.lock"  # below runs/
USERS = ".store.users"  # below runs/; every process that has opened the store shares its lock
QUICK_CHECK = "PRAGMA quick_check(1)"  # "ok", or the first fault
REBUILD = "piecewise sync --rebuild"
BUSY_SECONDS = 20.0  # how long to wait for another writer, as MLflow does
LOCK_SECONDS = 120.0  # how long to wait for a process that builds or migrates the store
_use: dict[Path, int] = {}  # the descriptor by which this process shares the lock USERS
_sound: set[tuple[int, int]] = set()  # device and inode of each file that passed QUICK_CHECK, which reads all of it


class CorruptStore(PiecewiseError):
    """The store cannot be used. The journals can make it again."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"{STORE} is corrupt ({fault}); {REBUILD} keeps it aside and makes it again from the journals")


def prepare(project: Project) -> None:
    """Build the store if it is missing; else check it, migrate it if it is old, and correct its artifact addresses.

    Raises BadInput on a network file system, before anything is created; CorruptStore; TryAgain; PiecewiseError if
    the file is read-only or comes from a newer MLflow.
    """
    path = project.store.resolve()  # a link stays a link
    refuse_network(path)
    with _locked(project):
        for leftover in temporary_paths(path):  # a killed process may have left these
            remove_database(leftover)
        if not path.exists():
            build(path, project)
        if not os.access(path, os.W_OK):
            raise PiecewiseError(f"{STORE}: {READ_ONLY_DISK if is_on_read_only_disk(path.parent) else READ_ONLY}")
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", timeout=BUSY_SECONDS, uri=True)) as store:
            store.isolation_level = None  # transactions begin explicitly
            _check(path, store)
            _equip(store)
            re_root(store, project)
        _share_use(project)


def set_aside(project: Project) -> Path | None:
    """Move the store and its artifacts to a new folder and return it; None if there is nothing to move.

    The database moves last, so that a killed move can be repeated. Its log must not stay behind: SQLite would apply
    it to the next database of that name.
    Raises BadInput, with nothing moved, if no new store could be built here, and TryAgain if another process has this
    one open: what it wrote from now on would be lost, or lie among the new store's artifacts.
    """
    _end_use()
    with _locked(project), file_lock(project.runs / USERS, busy=_in_use):
        paths = [project.artifacts, *sorted(project.root.glob(f"{STORE}?*")), project.store]
        paths = [path for path in paths if path.exists() or path.is_symlink()]
        if not paths:
            return None
        refuse_network(project.store.resolve())
        aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=project.runs))
        for path in paths:
            shutil.move(path, aside / path.name)
        flush_folder(aside)
        flush_folder(project.root)
        return aside


def _check(path: Path, store: sqlite3.Connection) -> None:
    """Migrate an old schema. Raises CorruptStore, or PiecewiseError for a schema that MLflow does not know."""
    identity = (path.stat().st_dev, path.stat().st_ino)
    try:
        (fault,) = ("ok",) if identity in _sound else store.execute(QUICK_CHECK).fetchone()
        revision = schema_revision(store)
    except sqlite3.DatabaseError as error:
        if not error.sqlite_errorname.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise
        raise CorruptStore(str(error)) from error
    if fault != "ok":
        raise CorruptStore(" ".join(fault.split()))
    if revision is None:
        raise CorruptStore("it names no schema revision: its creation did not finish")
    _sound.add(identity)
    if revision == newest_revision():
        return
    if revision not in known_revisions():
        raise PiecewiseError(
            f"{STORE} has schema {revision}, which the installed MLflow does not know: a newer MLflow made it; "
            f"install that version again, or {REBUILD} makes it again for this one"
        )
    migrate(path, store, revision)


def _equip(store: sqlite3.Connection) -> None:
    """Give a store that lacks them a write-ahead log and our indexes, unless it is in use; the next command tries."""
    try:
        store.execute(USE_LOG)
        add_indexes(store)
    except sqlite3.OperationalError as error:
        if not is_temporary(error):
            raise


def _share_use(project: Project) -> None:
    """From now on, until this process ends or opens another project's store, nobody sets this store aside."""
    path = project.runs.resolve() / USERS
    if path not in _use:
        _end_use()
        _use[path] = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        lock(_use[path], fcntl.LOCK_SH)


def _end_use() -> None:
    while _use:
        os.close(_use.popitem()[1])


def _in_use(users: Path) -> TryAgain:
    return TryAgain(f"{STORE} is open in {holder(users)}; stop that, or wait for it; nothing was moved")


def _locked(project: Project) -> AbstractContextManager[None]:
    """Hold the store's lock. Raises TryAgain if another process holds it for LOCK_SECONDS."""
    return file_lock(project.runs / LOCK, LOCK_SECONDS, _preparing)


def _preparing(lock: Path) -> TryAgain:
    return TryAgain(f"{holder(lock)} has been preparing {STORE} for {LOCK_SECONDS:.0f} s")
