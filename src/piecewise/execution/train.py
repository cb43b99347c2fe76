"""Train one job into its run folder."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from piecewise import stopping
from piecewise.durable import write_json
from piecewise.errors import BadInput, TryAgain
from piecewise.execution.ranks import REQUEST, Request, fate_of_others, is_first_rank, reporting_errors, run_ranks
from piecewise.execution.resume import check_unchanged
from piecewise.execution.trial import check_steps
from piecewise.jobs.build import Parts, build_parts
from piecewise.jobs.job import Job
from piecewise.jobs.run_key import identify
from piecewise.journal.names import folder_name, new_id
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal, Unwritable
from piecewise.processes import end_with, this_process
from piecewise.project import Project


def train(
    job: Job,
    folder: RunFolder,
    facts: dict[str, Any] | None = None,
    is_resumed: bool = False,
    digests: dict[str, str] | None = None,
) -> Parts | None:
    """Train `job` and leave weights, result and journal in `folder`; `facts` join the journal's first record.
    `digests` are those of the source and the lock, if they are known.

    Returns the parts it was trained with, for what follows. A job of several ranks trains in other processes, and
    returns None: Lightning starts ranks by running the command line again, so each gets one that names this job alone.
    Raises NonFiniteLoss, and Stopped after a signal.
    """
    request = Request(folder, {"id": new_id(), **(facts or {})}, this_process(), is_resumed, digests)
    if not job.config.trainer.may_use_ranks:
        return _train_here(job, request)
    job.write(folder.job)
    try:
        run_ranks(folder, request.as_text())
    except Exception as error:
        record = read_journal(folder.journal)
        if record is not None and record.end is None:  # the ranks were lost before they could write it
            with Journal(folder.journal) as journal:
                journal.end("FAILED", reason=f"{type(error).__name__}: {error}"[:500])
        raise
    return None


def train_as_rank(job: Job, resumed: Path | None = None) -> None:
    """Train in this process: what `python -m piecewise.worker` does on every rank.

    A worker that no parent started chooses its own folder; the ranks that it starts inherit the choice. With `resumed`
    the run in that folder goes on. Raises BadInput if there is none.
    """
    if resumed is not None and not RunFolder.at(resumed).journal.is_file():
        raise BadInput(f"--resume {resumed}: no run is there; allowed: a folder below runs/ with a journal")
    if REQUEST in os.environ or not is_first_rank():
        stopping.be_silent()  # of all processes of a command the first one tells the user of a signal
    run_id = new_id()
    has_folder = resumed is not None or REQUEST in os.environ
    folder = RunFolder.at(resumed or Project().runs / f"{run_id}-{folder_name(job.name)}")
    own = Request(folder, {"id": run_id}, None, resumed is not None)
    request = Request.from_text(os.environ.setdefault(REQUEST, own.as_text()))
    if request.parent is not None:
        end_with(request.parent)
    if is_first_rank():  # before it starts the others
        check_steps([job], is_rank=True)
    _train_here(job, request, has_folder)


def _train_here(job: Job, request: Request, has_folder: bool = True) -> Parts:
    """Train in this process, which may be one rank of several; only rank 0 records."""
    from piecewise.execution.fit import fit_job  # imports Lightning, which takes seconds

    with stopping.poll_signals():
        if not is_first_rank():
            # Under torchrun each rank chose a folder; only rank 0's becomes the run's.
            with reporting_errors(request.folder) if has_folder else contextlib.nullcontext():
                parts = build_parts(job.config)
                fit_job(job, parts, request, None)
            return parts
        parts = build_parts(job.config)
        result = identify(job, parts.source, request.digests)
        planned = {"steps_planned": parts.length.steps}
        with Journal(request.folder.journal) as journal:
            _begin(journal, job, request, result | planned)
            with _recording(journal, request.folder, BaseException):
                result |= fit_job(job, parts, request, journal)
            journal.end(**result)
            # Written last: a result file means FINISHED. A signal that comes now no longer changes the outcome.
            with _recording(journal, request.folder, OSError):
                write_json(request.folder.result, result)
    return parts


def _begin(journal: Journal, job: Job, request: Request, identity: dict[str, Any]) -> None:
    """Record the run's start, or that it goes on. Raises BadInput if job or data are not those it began with."""
    record = read_journal(journal.path) if request.is_resumed else None
    if record is None or not request.folder.job.is_file():  # DVC deletes it with the stage's other outs
        job.write(request.folder.job)
    process = this_process().as_dict()
    if record is None:
        about = {"name": job.name, "overrides": job.overrides, "title": job.title, "config": job.frozen}
        journal.start(**about, **identity, process=process, **request.facts)
    else:
        journal.resume(process=process, changed=check_unchanged(record.start, job, identity["digests"]))


@contextmanager
def _recording(journal: Journal, folder: RunFolder, kind: type[BaseException]) -> Iterator[None]:
    """Record the end of a run that ends by an error of this kind."""
    try:
        yield
    except kind as error:
        # Lightning ends the process when a signal came; a job that calls sys.exit by itself has failed.
        is_signal = isinstance(error, (KeyboardInterrupt, stopping.Stopped)) or stopping.requested_stop() is not None
        status = "KILLED" if is_signal else "FAILED"
        why = f"{fate_of_others(folder, os.getpgrp())}; " if isinstance(error, TryAgain) else ""
        with contextlib.suppress(Unwritable):  # the journal itself may be what failed
            journal.end(status, reason=f"{why}{type(error).__name__}: {error}"[:500])
        raise
