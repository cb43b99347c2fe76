"""Run several jobs one after the other, under one parent run, while MLflow follows them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from piecewise import stopping, terminal
from piecewise.durable import has_writer, read_json
from piecewise.errors import PiecewiseError
from piecewise.execution.blocked_releases import refuse_blocked
from piecewise.execution.job_folders import JobFolders, check_writable
from piecewise.execution.sweep import Sweep
from piecewise.execution.train import train
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import check_devices
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import busy
from piecewise.manifest import MANIFEST, remove_manifest, write_manifest
from piecewise.tracking.sync.background import BackgroundMirror

# Called after each training, with the job's parts if this process has trained it.
Finish = Callable[[Job, RunFolder, Parts | None], None]


def run_jobs(jobs: list[Job], folders: JobFolders, uri: str | None, finish: Finish, is_resumed: bool = False) -> None:
    """Train every job, then `finish` it; MLflow at `uri` gets the runs, or the user is told what it did not get.

    A job that fails stops neither the others nor the parent; its error is raised when all are done. A signal stops
    everything. With `is_resumed` finished jobs are skipped and interrupted ones continue.
    """
    _check_before_start(jobs, folders)
    remove_manifest(folders.root)
    mirror = BackgroundMirror(uri, folders.jobs if len(jobs) == 1 else [folders.parent, *folders.jobs])
    errors: list[Exception] = []
    is_interrupted = True
    try:
        with Sweep(folders.id, folders.parent, jobs) as sweep:
            for job, folder in zip(jobs, folders.jobs, strict=True):
                if is_resumed and is_done(folder):
                    continue
                try:
                    _run(job, folder, sweep.facts_of(job), finish, is_resumed)
                except Exception as error:
                    stopping.raise_if_stopped()  # the error may be how a library answered a signal
                    errors.append(_reported(error, job))
                    sweep.has_failed = True
        if len(jobs) > 1 and not folders.parent.is_of_pipeline:
            _compare(jobs, folders)
            write_manifest(folders.root)
        is_interrupted = False
    finally:
        mirror.close(at_once=is_interrupted)
    if errors:
        raise errors[0]


def is_done(folder: RunFolder) -> bool:
    """Whether the job is trained and finished."""
    return all(path.is_file() for path in (folder.sealed / MANIFEST, folder.result, folder.weights))


def _check_before_start(jobs: list[Job], folders: JobFolders) -> None:
    """Raises BadInput, or TryAgain if another process writes one of the runs."""
    refuse_blocked()
    check_writable(folders.root)
    for folder in (folders.parent, *folders.jobs):
        if has_writer(folder.journal):
            raise busy(folder.journal)
    check_devices(job.config.trainer for job in jobs)


def _run(job: Job, folder: RunFolder, facts: dict[str, Any], finish: Finish, is_resumed: bool) -> None:
    parts = None
    try:
        remove_manifest(folder.sealed)
        if not (is_resumed and folder.result.is_file()):
            parts = train(job, folder, facts, sys.stderr.isatty() and not terminal.is_quiet(), is_resumed)
    except stopping.Stopped:
        record = read_journal(folder.journal)
        if record is not None:
            terminal.say(f"piecewise resume {facts.get('parent', record.start.id)}  continues from here")
        raise
    finish(job, folder, parts)
    write_manifest(folder.sealed)


def _compare(jobs: list[Job], folders: JobFolders) -> None:
    """Write the sweep's table and figures, of the jobs that were evaluated."""
    from piecewise.analysis.compare import Member, compare

    evaluated = [(job, folder) for job, folder in zip(jobs, folders.jobs, strict=True) if folder.metrics.is_file()]
    compare(folders.parent, [Member(job, read_json(folder.metrics)) for job, folder in evaluated])


def _reported(error: Exception, job: Job) -> PiecewiseError:
    """Tell the user which job failed and why; returns the error, marked as told."""
    message = terminal.explain(error)
    terminal.fail(f"{job.title}: {message}")
    reported = error if isinstance(error, PiecewiseError) else PiecewiseError(message)
    reported.is_reported = True
    return reported
