"""Run several jobs one after the other, under one parent run, while MLflow follows them."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from piecewise import stopping, terminal
from piecewise.durable import read_json
from piecewise.errors import PiecewiseError
from piecewise.execution.blocked_releases import refuse_blocked
from piecewise.execution.job_folders import JobFolders, check_writable
from piecewise.execution.train import train
from piecewise.execution.trial import check_steps
from piecewise.jobs.about import experiments, read_about
from piecewise.jobs.build import Parts
from piecewise.jobs.comparable import basis, best_of_each, flatten
from piecewise.jobs.job import Job
from piecewise.jobs.overrides import shell_command
from piecewise.jobs.provenance import git_state
from piecewise.jobs.trainer import check_devices
from piecewise.journal.reader import read_end, read_journal, read_start
from piecewise.journal.run_folder import RunFolder, busy
from piecewise.journal.writer import Journal
from piecewise.locks import has_writer
from piecewise.manifest import MANIFEST, remove_manifest, write_manifest
from piecewise.processes import this_process
from piecewise.project import Project
from piecewise.tracking.sync.background import BackgroundMirror

# Called after each training, with the job's parts if this process has trained it.
Finish = Callable[[Job, RunFolder, Parts | None], None]


def run_jobs(
    jobs: list[Job],
    folders: JobFolders,
    uri: str | None,
    finish: Finish,
    is_resumed: bool = False,
    words: Sequence[str] = (),
) -> None:
    """Train every job, then `finish` it; MLflow at `uri` gets the runs, or the user is told what it did not get.

    A job that fails stops neither the others nor the parent; its error is raised when all are done. A signal stops
    everything. With `is_resumed` finished jobs are skipped and interrupted ones continue. `words` are the arguments of
    `piecewise train` that begin such a sweep, for its record.
    Raises BadInput, or TryAgain if another process writes one of the runs.
    """
    _check_before_start(jobs, folders)
    with _held(folders.parent):
        _run_all(jobs, folders, uri, finish, is_resumed, words)


def _run_all(
    jobs: list[Job], folders: JobFolders, uri: str | None, finish: Finish, is_resumed: bool, words: Sequence[str]
) -> None:
    remove_manifest(folders.root)
    mirror = BackgroundMirror(uri, folders.jobs if len(jobs) == 1 else [folders.parent, *folders.jobs])
    errors: list[Exception] = []
    is_interrupted = True
    try:
        with _recorded_sweep(jobs, folders, errors, words) as sweep:
            for job, folder in zip(jobs, folders.jobs, strict=True):
                if is_resumed and is_done(folder):
                    continue
                try:
                    with _held(folder) if len(jobs) > 1 else nullcontext():
                        facts = {**sweep, "tags": describe(job.name, job.overrides, job.notes)}
                        _run(job, folder, facts, finish, is_resumed)
                except Exception as error:
                    stopping.raise_if_stopped()  # the error may be how a library answered a signal
                    errors.append(_reported(error, job))
        if len(jobs) > 1 and not folders.parent.is_of_pipeline:
            from piecewise.analysis.compare import compare  # imports matplotlib
            from piecewise.analysis.member import Member

            evaluated = [pair for pair in zip(jobs, folders.jobs, strict=True) if pair[1].metrics.is_file()]
            compare(folders.parent, [Member(job, read_json(folder.metrics)) for job, folder in evaluated])
            write_manifest(folders.root)
        is_interrupted = False
    finally:
        mirror.close(at_once=is_interrupted)
    if errors:
        raise errors[0]


def _held(folder: RunFolder) -> AbstractContextManager[None]:
    """Hold the lock of a run's files. A stage of the pipeline holds that of all its runs already."""
    return nullcontext() if folder.is_of_pipeline else folder.held()


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
    check_steps(jobs)


@contextmanager
def _recorded_sweep(
    jobs: list[Job], folders: JobFolders, errors: list[Exception], words: Sequence[str]
) -> Iterator[dict[str, str]]:
    """Write the parent's journal; if there are `errors` at the end, the sweep has failed.

    Yields what the journal of each job records of it: its parent. A single job has none, and gets the id itself.
    """
    record = read_journal(folders.parent.journal, with_metrics=False)
    run_id = record.start.id if record is not None else folders.id
    if len(jobs) == 1:
        yield {"id": run_id}
        return
    name, size, process = jobs[0].name, len(jobs), this_process().as_dict()
    with Journal(folders.parent.journal) as journal:
        if record is not None:
            journal.resume(process=process)
        else:
            about = {"id": run_id, "name": name, "title": f"{name} sweep of {size}", "num_jobs": size}
            journal.start(**about, tags={**describe(name, words), "sweep.num_jobs": str(size)}, process=process)
        status = "FAILED"
        try:
            yield {"parent": run_id}
            status = "FAILED" if errors else "FINISHED"
        except stopping.Stopped:
            status = "KILLED"
            raise
        finally:
            journal.end(status, best=_best_of(folders.parent))


def _best_of(folder: RunFolder) -> list[str]:
    """The ids of the finished jobs with the lowest `val/nll`, one for each group of jobs that may be compared."""
    found = []
    for path in folder.children:
        start, end = read_start(path), read_end(path)  # not what is between: a sweep may have thousands of jobs
        if start is not None and end is not None and end.val_nll is not None:
            key = basis(dict(flatten(start.config)), start.digests.get("data"))
            found.append((key, end.val_nll, start.id))
    return list(best_of_each(sorted(found, key=lambda item: item[2])).values())


def describe(name: str, words: Sequence[str], notes: Sequence[str] = ()) -> dict[str, str]:
    """Tags for a reader a year later: the question, the command that repeats the run, the state of the source."""
    conf = Project.find().conf
    about = read_about(conf, name) if name in experiments(conf) else {}
    command = shell_command(words)
    note = "\n\n".join(part for part in (about.get("question"), as_code(command), *notes) if part)
    return {**git_state(), "command": command, "mlflow.note.content": note}


def as_code(text: str) -> str:
    """`text` as code in Markdown; the fence is longer than any row of backquotes in it."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"


def _run(job: Job, folder: RunFolder, facts: dict[str, Any], finish: Finish, is_resumed: bool) -> None:
    parts = None
    try:
        remove_manifest(folder.sealed)
        if not (is_resumed and folder.result.is_file()):
            parts = train(job, folder, facts, is_resumed)
    except stopping.Stopped:
        record = read_journal(folder.journal)
        if record is not None:
            terminal.say(f"piecewise resume {facts.get('parent', record.start.id)}  continues from here")
        raise
    finish(job, folder, parts)
    write_manifest(folder.sealed)


def _reported(error: Exception, job: Job) -> PiecewiseError:
    """Tell the user which job failed and why; returns the error, marked as told."""
    message = terminal.explain(error)
    terminal.fail(f"{job.title}: {message}")
    reported = error if isinstance(error, PiecewiseError) else PiecewiseError(message)
    reported.is_reported = True
    return reported
