"""Run jobs to their end by an executor, under one parent run if there are several, while MLflow follows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from piecewise import stopping, terminal
from piecewise.execution.blocked_releases import refuse_blocked
from piecewise.execution.describe import Facts
from piecewise.execution.executors.contract import Executor
from piecewise.execution.executors.inline import Inline
from piecewise.execution.job_folders import JobFolders, check_writable
from piecewise.execution.listening import Listening, Show
from piecewise.execution.pack import Pack
from piecewise.execution.run_pack import held
from piecewise.execution.trial import check_steps
from piecewise.jobs.comparable import basis, best_of_each, flatten
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import check_devices
from piecewise.journal.reader import read_end, read_journal, read_start
from piecewise.journal.run_folder import RunFolder, busy
from piecewise.journal.writer import Journal
from piecewise.locks import has_writer
from piecewise.manifest import remove_manifest
from piecewise.processes import this_process
from piecewise.tracking.sync.background import BackgroundMirror


@dataclass(frozen=True)
class Plan:
    """What one command runs."""

    jobs: Sequence[Job]  # also those that are done
    folders: JobFolders
    packs: Sequence[Pack]  # one for each job that must run
    uri: str | None  # of the MLflow store
    words: Sequence[str] = ()  # the arguments of the `piecewise train` that began this
    facts: Facts = field(default_factory=Facts)
    num_reused: int = 0  # jobs whose finished runs are outside the sweep
    num_failed: int = 0  # jobs that failed before, and are not run again

    @property
    def num_own(self) -> int:
        """The jobs that have, or get, a run in the sweep."""
        return len(self.jobs) - self.num_reused


def run_jobs(
    jobs: Sequence[Job],
    folders: JobFolders,
    uri: str | None,
    show: Show,
    is_resumed: bool = False,
    words: Sequence[str] = (),
    executor: Executor | None = None,
    evaluates: bool = True,
) -> None:
    """Run the job of `piecewise train`, or those of a stage; finished ones are skipped if `is_resumed`.

    All are run, also after an error; the first error is raised at the end. `show` hears of each job that has finished.
    Raises BadInput, TryAgain if another process writes one of the runs, and Stopped after a signal.
    """
    facts = Facts()
    packs = [
        Pack(
            folder.training.parent / f".pack.{number:04d}.tmp",  # no manifest has a file of this name
            number,
            job,
            folder,
            facts.of(job),
            facts.digests(job),
            is_resumed=is_resumed,
            evaluates=evaluates,
            draws=job.config.figures != "none",
        )
        for number, (job, folder) in enumerate(zip(jobs, folders.jobs, strict=True))
        if not (is_resumed and folder.is_done)
    ]
    listening = Listening(show)
    run_packs(Plan(jobs, folders, packs, uri, words, facts), executor or Inline(), listening)
    if listening.errors:
        raise listening.errors[0]


def run_packs(plan: Plan, executor: Executor, listening: Listening, settle: Callable[[], None] | None = None) -> None:
    """Run the packs of a plan, then call `settle`. MLflow gets the runs; the user is told which it did not get.

    Raises as `run_jobs` does; but the errors of jobs are only kept by `listening`.
    """
    folders, is_sweep = plan.folders, len(plan.jobs) > 1
    _check_before_start(plan)
    with held(folders.parent) if is_sweep else nullcontext():
        remove_manifest(folders.root)
        mirror = BackgroundMirror(plan.uri, [folders.parent, *folders.jobs] if is_sweep else folders.jobs)
        is_interrupted = True
        try:
            with _recorded_sweep(plan, listening) as facts:
                packs = (replace(pack, facts=facts | pack.facts) for pack in plan.packs)
                executor.run(listening.until_stopped(packs), listening)
            if settle is not None:
                settle()
            is_interrupted = False
        except stopping.Stopped:
            record = read_journal(folders.parent.journal, with_metrics=False)
            if record is not None:
                terminal.say(f"piecewise resume {record.start.id}  continues from here")
            raise
        finally:
            mirror.close(at_once=is_interrupted)


def _check_before_start(plan: Plan) -> None:
    """Raises BadInput, or TryAgain if another process writes one of the runs."""
    refuse_blocked()
    check_writable(plan.folders.root)
    for folder in (plan.folders.parent, *(pack.folder for pack in plan.packs)):
        if has_writer(folder.journal):
            raise busy(folder.journal)
    jobs = [pack.job for pack in plan.packs]
    check_devices(job.config.trainer for job in jobs)
    check_steps(jobs)


@contextmanager
def _recorded_sweep(plan: Plan, listening: Listening) -> Iterator[dict[str, str]]:
    """Write the parent's journal. If a job has failed, so has the sweep.

    Yields what the journal of each job records of it: its parent. A single job has none, and gets the id itself.
    """
    folders, size = plan.folders, len(plan.jobs)
    record = read_journal(folders.parent.journal, with_metrics=False)
    run_id = record.start.id if record is not None else folders.id
    if size == 1:
        yield {"id": run_id}
        return
    name, process = plan.jobs[0].name, this_process().as_dict()
    with Journal(folders.parent.journal) as journal:
        if record is not None:
            journal.resume(process=process)
        else:
            about = {"id": run_id, "name": name, "title": f"{name} sweep of {size}", "num_jobs": plan.num_own}
            counts = {"sweep.num_jobs": str(size), "sweep.reused": str(plan.num_reused)}
            tags = plan.facts.tags(name, plan.words) | counts
            journal.start(**about, tags=tags, process=process)
        status = "FAILED"
        try:
            yield {"parent": run_id}
            status = "FAILED" if listening.errors or plan.num_failed else "FINISHED"
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
