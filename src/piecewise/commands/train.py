"""Train, evaluate and draw one run, or with -m a sweep: one run for each combination of values.

  piecewise train experiment=mnist_cnn optimizer.lr=3e-3 trainer.max_epochs=2
  piecewise train -m experiment=shallow_regression model.width=4,16,64 seed=0,1

The same command goes on with a sweep that was interrupted, and repeats nothing that is done. retry=1 runs its failed
jobs again; fresh=1 trains all jobs anew. --dry-run prints the jobs with estimates of their time and disk space, and
starts nothing. `piecewise list GROUP` prints the options of a group. Hydra's flags (--cfg job, …) work too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.execution.executors.contract import Outcome
    from piecewise.execution.pack import Pack
    from piecewise.jobs.job import Job

DRY_RUN = "--dry-run"
MULTIRUN = ("-m", "--multirun")


def main(project: Project, arguments: Arguments) -> int:
    from piecewise.commands.sweep_words import read_sweep_words

    is_dry = DRY_RUN in arguments.words
    asked = read_sweep_words([word for word in arguments.words if word != DRY_RUN])  # Hydra parses the others
    if not is_dry and not set(MULTIRUN).isdisjoint(asked.words):
        from piecewise.execution.executors.server import start_early

        start_early(asked.words)  # it imports what this process imports too, at the same time
    from piecewise.planning.plan import plan_command_line

    jobs = plan_command_line(project.conf, asked.words)
    if not jobs:  # a flag such as --cfg only prints
        return 0
    from piecewise.jobs.trainer import check_devices

    check_devices(job.config.trainer for job in jobs)
    if is_dry:
        from piecewise.commands.dry_run import announce

        announce(project, jobs, asked)
        return 0
    if len(jobs) > 1:
        from piecewise.commands.sweep import run

        return run(jobs, asked)
    asked.refuse_without_sweep()
    _train_alone(jobs, asked.words)
    return 0


def _train_alone(jobs: list[Job], words: list[str]) -> None:
    from piecewise.execution.job_folders import JobFolders
    from piecewise.execution.run_jobs import run_jobs
    from piecewise.execution.run_sweep import executor_for

    folders, config = JobFolders.new(jobs), jobs[0].config
    executor = executor_for(config.executor, 1)
    run_jobs(jobs, folders, config.tracking.uri, show, words=words, executor=executor)
    conclude(str(folders.root), config.tracking.uri)


def show(pack: Pack, outcome: Outcome) -> None:
    """Print the metrics of a job in one line."""
    terminal.show(f"{pack.job.title}  {numbers(outcome.metrics)}".rstrip())


def numbers(metrics: dict[str, float]) -> str:
    """The metrics of a job in the order of its file, in which those of a reused job are read."""
    return "  ".join(f"{key} {value:.5g}" for key, value in sorted(metrics.items()))


def conclude(folder: str, uri: str | None) -> None:
    """Say where the results of a run are, and how to compare them."""
    lines = [("run folder", folder), ("figures", f"{folder}/figures")]
    if uri is not None:
        lines.append(("compare", uri if uri.startswith("http") else "piecewise ui  (or mlflow ui)"))
    terminal.say(f"\n{terminal.table(lines)}")
