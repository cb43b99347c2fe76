"""Bringing to MLflow whatever of the runs is missing there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from piecewise.durable import has_writer, is_torn, last_record, read_json
from piecewise.errors import BadInput, TryAgain
from piecewise.jobs.job import read_job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.tracking.store.addresses import moves
from piecewise.tracking.store.open import EMBEDDED
from piecewise.tracking.sync.backoff import Backoff

if TYPE_CHECKING:
    from piecewise.tracking.mirror.live_runs import Followed
    from piecewise.tracking.mirror.mirror import Mirror

    Known = dict[str, Followed]  # by store

Answer = TypeVar("Answer")
TRIES = 6  # of a server that may answer the next time


@dataclass
class Synced:
    """What `sync` did: runs seen, what was missing of some and no longer is, and what went wrong."""

    seen: int = 0
    updated: list[str] = field(default_factory=list)  # a line for each
    problems: list[str] = field(default_factory=list)
    is_busy: bool = False  # a store was busy, or away, for longer than we wait
    is_refused: bool = False  # a store cannot be where it is wanted

    @property
    def exit_code(self) -> int:
        """What a person must mend comes before what only takes time."""
        if self.is_refused:
            return BadInput.exit_code
        return TryAgain.exit_code if self.is_busy else int(bool(self.problems))

    def __add__(self, other: Synced) -> Synced:
        return Synced(
            self.seen + other.seen,
            self.updated + other.updated,
            self.problems + other.problems,
            self.is_busy or other.is_busy,
            self.is_refused or other.is_refused,
        )


def sync(
    default: str | None, folders: Iterable[RunFolder], restores: bool = False, known: Known | None = None
) -> Synced:
    """Bring every run to the store it was meant for, the pipeline's and untracked ones to `default`.

    A run that cannot be brought over is named and keeps none of the others back. Who calls it again and again hands
    over `known`, and no point is sent twice.
    """
    moved, known, lost = moves(Project.find()), {} if known is None else known, Synced()
    by_store: dict[str, list[RunFolder]] = {}
    for folder in folders:
        try:
            uri = meant_for(folder) or default
        except BadInput as error:
            lost += Synced(1, problems=[f"{folder.journal}: {error}"])
            continue
        if uri is not None:
            by_store.setdefault(moved.get(uri, uri), []).append(folder)
    openers = {uri: opener(uri, restores, known.setdefault(uri, {})) for uri in by_store}
    return sum((push_all(uri, members, openers[uri]) for uri, members in by_store.items()), lost)


def stamp(folder: RunFolder) -> tuple[int, ...] | None:
    """Another one as soon as anything of a run that is over may be another; None while it goes on."""
    # A sweep's state is its jobs', and whose model is wanted stands in the sweep.
    kept = (folder.journal, folder.metrics, folder.figures, folder.parent, *folder.children)
    try:
        last = last_record(folder.journal)
        is_over = last is not None and last["kind"] == "end"
        return tuple(path.stat().st_mtime_ns for path in kept if path.exists()) if is_over else None
    except OSError:  # gone meanwhile, or unreadable, which whoever brings it finds
        return None


def opener(uri: str, restores: bool = False, live: Followed | None = None) -> Callable[[], Mirror]:
    """What opens a store, once it is needed."""

    def opens() -> Mirror:
        from piecewise.tracking.mirror.mirror import Mirror
        from piecewise.tracking.store.open import open_store

        project = Project.find()
        return Mirror(open_store(uri, project), project, restores, live)

    return opens


def push_all(uri: str, folders: list[RunFolder], opens: Callable[[], Mirror]) -> Synced:
    """Bring runs to the store that `opens` opens, and end those there that nobody trains any more."""
    from piecewise.journal.orphans import end_journals
    from piecewise.tracking.store.errors import explain, is_temporary
    from piecewise.tracking.sync.orphans import end_runs

    project, done = Project.find(), Synced(len(folders))
    try:
        end_journals(project)
        mirror = patiently(uri, opens)
        for folder in folders:
            _push(uri, mirror, folder, done)
        patiently(uri, lambda: end_runs(mirror, project))
    except Exception as error:
        done.problems.append(f"{uri}: {explain(error)}")
        done.is_busy, done.is_refused = is_temporary(error), isinstance(error, BadInput)
    return done


def _push(uri: str, mirror: Mirror, folder: RunFolder, done: Synced) -> None:
    """Raises what the other runs would meet too, each after as long a wait."""
    from piecewise.tracking.store.errors import explain, store_problem

    try:
        brought = patiently(uri, lambda: mirror.push(folder, load_model), lambda: mirror.reached(folder))
        if brought is not None:
            done.updated.append(str(brought))
        if is_torn(folder.journal) and not has_writer(folder.journal):
            done.updated.append(f"{folder.journal}: its last line was torn off by a crash; all before it is here")
    except Exception as error:
        if store_problem(error) is not None:
            raise
        done.problems.append(f"{folder.journal}: {explain(error)}")


def patiently(uri: str, ask: Callable[[], Answer], reached: Callable[[], int] = lambda: 0) -> Answer:
    """What `ask` returns; a server that may answer the next time is asked a few times, after longer and longer.

    Counted anew when it has got further meanwhile: of many requests a bad network loses more than a few.
    """
    from piecewise.tracking.store.errors import is_temporary

    backoff, before = Backoff(every=0.0, first=0.2), reached()
    while True:
        try:
            return ask()
        except Exception as error:
            if reached() > before:
                backoff.succeeded()
                before = reached()
            backoff.failed()
            if uri == EMBEDDED or not is_temporary(error) or backoff.failures >= TRIES:
                raise
            time.sleep(backoff.seconds)


def meant_for(folder: RunFolder) -> str | None:
    """The store that a run was started with; None if it named none. Raises BadInput if what says so is damaged."""
    # The parent of a sweep has no job: it goes where its first child goes.
    places = [folder.job, *sorted(folder.training.parent.glob("*/training/job.json"))]
    job = next((read_job(path) for path in places if path.is_file()), None)
    return None if job is None else job.config.tracking.uri


def stores_of(folders: Iterable[RunFolder]) -> Iterator[str]:
    """Those that runs name, as far as they can be read."""
    for folder in folders:
        with contextlib.suppress(BadInput):
            yield from filter(None, [meant_for(folder)])


def tracking_uri(project: Project) -> str | None:
    """Where the pipeline's runs go, as `compose` froze it."""
    path = project.build / "tracking.json"
    uri = read_json(path).get("uri") if path.is_file() else EMBEDDED
    return uri if uri is None else str(uri)


def load_model(folder: RunFolder) -> tuple[Any, np.ndarray]:
    """The run's trained model and an example of two inputs to it."""
    import torch

    from piecewise.analysis.trained import load_trained

    parts = load_trained(folder)
    dtype = next(parts.model.parameters()).dtype
    if dtype is torch.bfloat16:  # which NumPy, and so MLflow's schema, does not have
        dtype = torch.float32
    return parts.model.to(dtype), torch.zeros((2, *parts.spec.input_shape), dtype=dtype).numpy()
