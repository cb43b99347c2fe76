"""Several jobs one after the other, under one parent run, mirrored to MLflow while they train."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from piecewise import manifest, stopping, terminal
from piecewise.durable import has_writer, read_json
from piecewise.errors import PiecewiseError
from piecewise.execution.blocked_releases import refuse_blocked
from piecewise.execution.places import Places, check_writable
from piecewise.execution.sweep import Sweep
from piecewise.execution.train import train
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import check_devices
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import busy
from piecewise.manifest import remove_manifest, write_manifest
from piecewise.tracking.sync.background import BackgroundMirror

Finish = Callable[[Job, RunFolder, Parts | None], None]  # what follows a training; parts, if it was in this process


def run_jobs(jobs: list[Job], places: Places, uri: str | None, finish: Finish, is_resumed: bool = False) -> None:
    """Train every job, then `finish` it, and see that MLflow has everything, or say that it has not.

    A job that fails stops neither the others nor the parent; the first error is raised when all are done. A signal
    stops everything. With `is_resumed` what is done is left alone, and what was begun goes on.
    """
    refuse_blocked()
    check_writable(places.root)
    for folder in (places.parent, *places.jobs):
        if has_writer(folder.journal):
            raise busy(folder.journal)
    check_devices(job.config.trainer for job in jobs)
    remove_manifest(places.root)
    mirror = BackgroundMirror(uri, places.jobs if len(jobs) == 1 else [places.parent, *places.jobs])
    errors: list[Exception] = []
    has_stopped = True
    try:
        with Sweep(places.id, places.parent, jobs) as sweep:
            for job, folder in zip(jobs, places.jobs, strict=True):
                if is_resumed and is_done(folder):
                    continue
                try:
                    _run(job, folder, sweep.facts_of(job), finish, is_resumed)
                except Exception as error:
                    stopping.check()
                    errors.append(_reported(error, job))
                    sweep.has_failed = True
        if len(jobs) > 1 and not places.parent.is_of_pipeline:
            _compare(jobs, places)
            write_manifest(places.root)
        has_stopped = False
    finally:
        mirror.close(at_once=has_stopped)
    if errors:
        raise errors[0]


def _compare(jobs: list[Job], places: Places) -> None:
    """The sweep's own table and figures, of the jobs that were evaluated."""
    from piecewise.analysis.compare import Member, compare

    done = [(job, folder) for job, folder in zip(jobs, places.jobs, strict=True) if folder.metrics.is_file()]
    compare(places.parent, [Member(job, read_json(folder.metrics)) for job, folder in done])


def is_done(folder: RunFolder) -> bool:
    """Whether nothing of the job is left to do."""
    return all(path.is_file() for path in (folder.sealed / manifest.NAME, folder.result, folder.weights))


def _run(job: Job, folder: RunFolder, facts: dict[str, Any], finish: Finish, is_resumed: bool) -> None:
    try:
        remove_manifest(folder.sealed)
        parts = None
        if not (is_resumed and folder.result.is_file()):
            parts = train(job, folder, facts, sys.stderr.isatty() and not terminal.is_quiet(), is_resumed)
    except stopping.Stopped:
        record = read_journal(folder.journal) if folder.journal.is_file() else None
        if record is not None:
            terminal.say(f"piecewise resume {facts.get('parent', record.start['id'])}  goes on from here")
        raise
    finish(job, folder, parts)
    write_manifest(folder.sealed)


def _reported(error: Exception, job: Job) -> PiecewiseError:
    """Tell the user which job failed and why; the error, as one that needs no further telling."""
    message = terminal.explain(error)
    terminal.fail(f"{job.title}: {message}")
    reported = error if isinstance(error, PiecewiseError) else PiecewiseError(message)
    reported.is_reported = True
    return reported
