"""Continue an interrupted run from its newest checkpoint, or finish the remaining jobs of a sweep.

A run is refused if its data have changed. If the source code or requirements.lock have changed, that is a warning, or
with --strict an error. Options that change no result may change: `resume last trainer.devices=1`. With retry=1 the
failed jobs of a sweep run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.jobs.job import Job
    from piecewise.journal.find import KnownRun


def main(project: Project, arguments: Arguments) -> int:
    arguments.add_run()
    arguments.add_argument("options", metavar="KEY=VALUE", nargs="*", help="trainer.devices, executor.slots, …")
    arguments.add_argument(
        "--strict", action="store_true", help="refuse if the source code or requirements.lock has changed"
    )
    asked = arguments.read()
    from piecewise.journal.find import find_run

    run = find_run(project, asked.run)  # before what imports torch, which takes seconds
    from piecewise.errors import BadInput
    from piecewise.execution.job_folders import JOBS
    from piecewise.journal.names import train_stage

    if run.start.parent is not None and (run.folder.sealed.parent / JOBS).is_file():
        run = find_run(project, run.start.parent)  # a job of a sweep continues with its sweep
    if run.folder.is_of_pipeline:
        raise BadInput(f"{run.start.title} belongs to the pipeline: dvc repro {train_stage(run.start.name)} runs it")
    if run.start.is_sweep or (run.folder.sealed / JOBS).is_file():
        return _resume_sweep(project, run, asked.options, asked.strict)
    _resume_alone(project, run, asked.options, asked.strict)
    return 0


def _resume_sweep(project: Project, run: KnownRun, options: list[str], is_strict: bool) -> int:
    from dataclasses import replace

    from piecewise.execution.executors.server import start_early

    start_early(options)  # it imports what this process imports next, at the same time
    from piecewise.commands.sweep import run_to_end
    from piecewise.commands.sweep_words import read_sweep_words
    from piecewise.execution.resume import refuse_changed_surroundings
    from piecewise.execution.sweep import Sweep
    from piecewise.tracking.store.addresses import moved_servers

    asked = read_sweep_words(options)
    asked.refuse_fresh()
    sweep = Sweep.at(run.folder.sealed.relative_to(project.root))
    sweep = replace(sweep, jobs=_changed(sweep.jobs, asked.words))
    if is_strict:
        refuse_changed_surroundings([folder for folder in sweep.folders.jobs if not folder.is_done])
    uri = sweep.jobs[0].config.tracking.uri
    return run_to_end(sweep, moved_servers(project).get(uri or "", uri), asked)


def _resume_alone(project: Project, run: KnownRun, options: list[str], is_strict: bool) -> None:
    from piecewise.commands.sweep_words import read_sweep_words
    from piecewise.commands.train import conclude, show
    from piecewise.execution.job_folders import JobFolders
    from piecewise.execution.resume import refuse_changed_surroundings
    from piecewise.execution.run_jobs import run_jobs
    from piecewise.execution.run_sweep import executor_for
    from piecewise.jobs.job import read_job
    from piecewise.tracking.store.addresses import moved_servers

    read_sweep_words(options).refuse_without_sweep(f"{run.id} ({run.title}) is a single run")
    jobs = _changed([read_job(run.folder.job)], options)
    folders = JobFolders.below(run.folder.sealed.relative_to(project.root), 1)
    if folders.parent.is_done:
        terminal.say(f"{run.start.title} is done: nothing is left to train")
        return
    if is_strict:
        refuse_changed_surroundings(folders.jobs)
    uri = jobs[0].config.tracking.uri
    uri = moved_servers(project).get(uri or "", uri)
    run_jobs(jobs, folders, uri, show, is_resumed=True, executor=executor_for(jobs[0].config.executor, 1))
    conclude(str(folders.root), uri)


def _changed(jobs: list[Job], options: list[str]) -> list[Job]:
    """The jobs with changed options. Raises BadInput if an option cannot change or does not fit the others."""
    if not options:
        return jobs
    from piecewise.execution.resume import with_options
    from piecewise.planning.check import check

    changed = [with_options(job, options) for job in jobs]
    for job in changed:
        check(job.config)
    return changed
