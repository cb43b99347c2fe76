"""Continue an interrupted run from its newest checkpoint, or finish the remaining jobs of a sweep.

A run is refused if its data have changed. If the source code or requirements.lock have changed, that is a warning, or
with --strict an error. Options that change no result may change: `resume last trainer.devices=1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.jobs.job import Job
    from piecewise.journal.find import KnownRun


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_run()
    arguments.add_argument("options", metavar="KEY=VALUE", nargs="*", help="trainer.devices, trainer.timeout, …")
    arguments.add_argument(
        "--strict", action="store_true", help="refuse if the source code or requirements.lock has changed"
    )
    asked = arguments.read()
    from piecewise.journal.find import find_run

    run = find_run(project, asked.run)  # before what imports torch, which takes seconds
    from piecewise.commands.train import conclude, evaluate_and_draw
    from piecewise.errors import BadInput
    from piecewise.execution.job_folders import JOBS, JobFolders
    from piecewise.execution.resume import refuse_changed_surroundings
    from piecewise.execution.run_jobs import is_done, run_jobs
    from piecewise.journal.names import train_stage
    from piecewise.tracking.store.addresses import moved_servers

    if run.start.parent is not None and (run.folder.sealed.parent / JOBS).is_file():
        run = find_run(project, run.start.parent)  # a job of a sweep continues with its sweep
    if run.folder.is_of_pipeline:
        raise BadInput(f"{run.start.title} belongs to the pipeline: dvc repro {train_stage(run.start.name)} runs it")
    root = run.folder.sealed
    jobs = _jobs(run, asked.options)
    folders = JobFolders.below(root.relative_to(project), len(jobs))
    if all(map(is_done, folders.jobs)):
        terminal.say(f"{run.start.title} is done: nothing is left to train")
        return
    if asked.strict:
        refuse_changed_surroundings([folder for folder in folders.jobs if not is_done(folder)])
    uri = jobs[0].config.tracking.uri
    uri = moved_servers(project).get(uri or "", uri)
    run_jobs(jobs, folders, uri, evaluate_and_draw, is_resumed=True)
    conclude(folders.root, len(jobs), uri)


def _jobs(run: KnownRun, options: list[str]) -> list[Job]:
    """The run's jobs with changed options. Raises BadInput if an option cannot change or does not fit the others."""
    from piecewise.execution.job_folders import JOBS
    from piecewise.execution.resume import with_options
    from piecewise.jobs.job import read_job, read_jobs

    path = run.folder.sealed / JOBS
    jobs = [with_options(job, options) for job in (read_jobs(path) if path.is_file() else [read_job(run.folder.job)])]
    if options:
        from piecewise.planning.check import check

        for job in jobs:
            check(job.config)
    return jobs
