"""Syncing runs: sending to each run's MLflow store what is missing there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from piecewise.durable import is_torn, last_record
from piecewise.errors import BadInput, TryAgain
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import end_journals
from piecewise.locks import has_writer
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED, moved_servers, store_of
from piecewise.tracking.store.errors import explain, is_temporary, store_problem
from piecewise.tracking.store.mlflow_settings import quiet
from piecewise.tracking.store.open import open_store
from piecewise.tracking.sync.orphans import end_runs
from piecewise.tracking.sync.waiting import (
    CHECKED_BYTES_PER_SECOND,
    Backoff,
    Waiting,
    WatchedClient,
    check_answers,
    num_bytes,
)

if TYPE_CHECKING:
    from piecewise.tracking.mirror.live_runs import Followed
    from piecewise.tracking.mirror.mirror import Mirror

Value = TypeVar("Value")
MAX_TRIES = 6  # for a server


@dataclass
class SyncResult:
    """What a sync did, and what went wrong."""

    updated: list[str] = field(default_factory=list)  # a line for each updated run
    problems: list[str] = field(default_factory=list)
    num_done: int = 0  # runs that were looked at
    is_busy: bool = False  # a store stayed busy or unreachable
    is_refused: bool = False  # a store cannot be where it is configured

    @property
    def exit_code(self) -> int:
        """A problem that the user must solve comes before one that only needs time."""
        if self.is_refused:
            return BadInput.exit_code
        return TryAgain.exit_code if self.is_busy else int(bool(self.problems))


def sync(
    default: str | None, folders: Iterable[RunFolder], restores: bool = False, followed: Followed | None = None
) -> SyncResult:
    """Send every run to the store that its job names, and other runs to `default`.

    A run that fails is named and does not stop the others. Repeated calls pass the same `followed`, which remembers
    the points already sent.
    """
    result = SyncResult()
    moved = moved_servers(Project.find())
    by_store: dict[str, list[RunFolder]] = {}
    for folder in folders:
        try:
            uri = store_of(folder) or default
        except BadInput as error:
            result.problems.append(f"{folder.journal}: {error}")
            continue
        if uri is not None:
            by_store.setdefault(moved.get(uri, uri), []).append(folder)
    for uri, members in by_store.items():
        push_all(uri, members, partial(_open_answering, uri, restores, followed), result)
    return result


def change_stamp(folder: RunFolder, is_ended: bool) -> tuple[int, ...] | None:
    """Times that differ once anything of a finished run may have changed; None while the run goes on.

    Of a run that the index calls ended the journal is not read, and if it is a sweep all of its jobs have ended.
    """
    # A sweep's state depends on its jobs, and a job's sweep says whether its model is wanted.
    paths = [folder.journal, folder.metrics, folder.figures, folder.parent]
    try:
        if not is_ended:
            last = last_record(folder.journal)
            if last is None or last["kind"] != "end":
                return None
            paths += folder.children
        return tuple(path.stat().st_mtime_ns for path in paths if path.exists())
    except OSError:  # removed meanwhile, or unreadable, which the sync reports
        return None


def open_mirror(
    uri: str,
    restores: bool = False,
    followed: Followed | None = None,
    waiting: Waiting | None = None,
) -> Mirror:
    """Open a store. Each call to it is noted in `waiting`, but not the import of MLflow."""
    from piecewise.tracking.mirror.mirror import Mirror

    project, waiting = Project.find(), waiting or Waiting()
    quiet()
    size = num_bytes(project.store) if uri == EMBEDDED else 0  # opening reads all of it
    with waiting.call(size / CHECKED_BYTES_PER_SECOND):
        client = open_store(uri, project)
    watched: Any = WatchedClient(client, waiting)
    return Mirror(watched, project, restores, followed)


def _open_answering(uri: str, restores: bool, followed: Followed | None) -> Mirror:
    check_answers(uri)  # a server that is not there is found without importing MLflow, and within its long timeout
    return open_mirror(uri, restores, followed)


def push_all(
    uri: str, folders: list[RunFolder], opens: Callable[[], Mirror], result: SyncResult | None = None
) -> SyncResult:
    """Send runs to one store, and end the store's orphaned runs. What was done is added to `result`."""
    project, result = Project.find(), result or SyncResult()
    try:
        end_journals(project)
        mirror = retry(uri, opens)
        complete = retry(uri, lambda: mirror.complete(folders))
        result.num_done += len(complete)
        for folder in (folder for folder in folders if folder not in complete):
            _push(uri, mirror, folder, result)
            result.num_done += 1
        retry(uri, lambda: end_runs(mirror.client, project))
    except Exception as error:
        result.problems.append(f"{uri}: {explain(error)}")
        result.is_busy |= is_temporary(error)
        result.is_refused |= isinstance(error, BadInput)
    return result


def _push(uri: str, mirror: Mirror, folder: RunFolder, result: SyncResult) -> None:
    """Raises only problems of the whole store: every other run would wait as long and fail too."""
    try:
        pushed = retry(uri, lambda: mirror.push(folder, with_model=True), lambda: mirror.num_batches)
        if pushed is not None:
            result.updated.append(pushed)
        if is_torn(folder.journal) and not has_writer(folder.journal):
            result.updated.append(f"{folder.journal}: its last line was torn off by a crash; all before it is here")
    except Exception as error:
        if store_problem(error) is not None:
            raise
        result.problems.append(f"{folder.journal}: {explain(error)}")


def retry(uri: str, call: Callable[[], Value], progress: Callable[[], int] = lambda: 0) -> Value:
    """What `call` returns; if a server fails temporarily, up to MAX_TRIES calls with growing pauses.

    Progress resets the count: of many requests, a bad network loses more than MAX_TRIES.
    """
    backoff, before = Backoff(every=0.0, first=0.2), progress()
    while True:
        try:
            return call()
        except Exception as error:
            if progress() > before:
                backoff.failures, before = 0, progress()
            backoff.failures += 1
            if uri == EMBEDDED or not is_temporary(error) or backoff.failures >= MAX_TRIES:
                raise
            time.sleep(backoff.seconds)
