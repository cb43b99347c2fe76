"""Several jobs one after the other, under one parent run, mirrored to MLflow while they train."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise.errors import PiecewiseError
from piecewise.jobs import build
from piecewise.jobs.about import experiments, read_about
from piecewise.jobs.job import Job
from piecewise.jobs.provenance import find_root, git_state
from piecewise.jobs.record import BackgroundMirror
from piecewise.jobs.train import new_id, train
from piecewise.journal.folder import SWEEP, RunFolder
from piecewise.journal.writer import Journal


@dataclass(frozen=True)
class Places:
    """Where the runs of a session go: a folder for each job, and one for the parent of several."""

    parent: RunFolder
    jobs: list[RunFolder]

    @classmethod
    def below(cls, place: Path, count: int) -> Places:
        """For `piecewise train`: a single run has the place to itself."""
        parent = RunFolder.at(place)
        return cls(parent, [RunFolder.at(place / f"{n:04d}") for n in range(count)] if count > 1 else [parent])

    @classmethod
    def of_stage(cls, jobs: list[Job]) -> Places:
        """For `dvc repro`."""
        name = jobs[0].name
        return cls(RunFolder.of_stage(name, SWEEP), [RunFolder.of_stage(name, job.folder_name) for job in jobs])


def run_jobs(jobs: list[Job], places: Places, uri: str | None, finish: Callable[[Job, RunFolder], None]) -> bool:
    """Train every job, then `finish` it; True if MLflow has everything, False if `piecewise sync` has work left.

    A job that fails stops neither the others nor the parent; the first error is raised when all are done.
    """
    build.check_devices(jobs[0].config)
    watched = places.jobs if len(jobs) == 1 else [places.parent, *places.jobs]
    mirror = BackgroundMirror(uri, watched)
    errors: list[Exception] = []
    try:
        with Sweep(places.parent, jobs) as sweep:
            for job, folder in zip(jobs, places.jobs, strict=True):
                try:
                    train(job, folder, sweep.facts_of(job), progress=sys.stderr.isatty())
                    finish(job, folder)
                except Exception as error:
                    if not isinstance(error, PiecewiseError):  # out of memory, say: a bug, or a machine's limit
                        traceback.print_exc()
                    errors.append(error)
                    sweep.has_failed = True
                    print(f"error: {job.title}: {error}", file=sys.stderr)
    finally:
        is_tracked = mirror.close()
    if errors:
        first = errors[0] if isinstance(errors[0], PiecewiseError) else PiecewiseError(str(errors[0]))
        first.is_reported = True
        raise first
    return is_tracked


class Sweep:
    """The parent run of several jobs; with one job there is none, and it writes nothing."""

    def __init__(self, folder: RunFolder, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.id = new_id()
        self.has_failed = False
        self._journal = Journal(folder.journal) if len(jobs) > 1 else None

    def __enter__(self) -> Sweep:
        if self._journal is not None:
            name = self.jobs[0].name
            tags = {**describe(self.jobs[0]), "sweep.num_jobs": str(len(self.jobs))}
            self._journal.start(id=self.id, name=name, label="", title=f"{name} sweep of {len(self.jobs)}", tags=tags)
        return self

    def facts_of(self, job: Job) -> dict[str, Any]:
        """What the journal of one of the jobs says besides the job."""
        return {"id": new_id(), "tags": describe(job)} | ({"parent": self.id} if self._journal is not None else {})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._journal is not None:
            status = "FINISHED" if kind is None and not self.has_failed else "FAILED"
            self._journal.end("KILLED" if kind in (KeyboardInterrupt, SystemExit) else status)
            self._journal.__exit__(None, None, None)


def describe(job: Job) -> dict[str, str]:
    """Tags that tell a person, a year later, what a run was for and where its source stood."""
    conf = find_root() / "conf"
    about = read_about(conf, job.name) if job.name in experiments(conf) else {}
    note = "\n\n".join(
        part for part in (about.get("question"), about.get("command") and f"`{about['command']}`") if part
    )
    return {**git_state(), **({"mlflow.note.content": note} if note else {})}
