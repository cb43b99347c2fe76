"""Train, evaluate and draw one run, or with -m one run for each combination of values.

  piecewise train experiment=mnist_cnn optimizer.lr=3e-3 trainer.max_epochs=2
  piecewise train -m experiment=shallow_regression model.width=4,16,64 seed=0,1

--dry-run prints the jobs with estimates of their time and disk space, and starts nothing.
`piecewise list GROUP` prints the options of a group. Hydra's flags (--cfg job, --hydra-help, …) work too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.jobs.build import Parts
    from piecewise.jobs.job import Job
    from piecewise.journal.run_folder import RunFolder

DRY_RUN = "--dry-run"


def main(project: Project, arguments: Arguments) -> None:
    from piecewise.planning.plan import plan_command_line

    words = [word for word in arguments.words if word != DRY_RUN]  # Hydra parses them
    jobs = plan_command_line(project.conf, words)
    if not jobs:  # a flag such as --cfg only prints
        return
    from piecewise.jobs.trainer import check_devices

    check_devices(job.config.trainer for job in jobs)
    if DRY_RUN in arguments.words:
        _announce(jobs)
        return
    from piecewise.execution.job_folders import JobFolders
    from piecewise.execution.run_jobs import run_jobs

    folders = JobFolders.new(jobs)
    uri = jobs[0].config.tracking.uri
    run_jobs(jobs, folders, uri, evaluate_and_draw, words=words)
    conclude(folders.root, len(jobs), uri)


def _announce(jobs: list[Job]) -> None:
    from piecewise.planning.estimate import estimate

    guesses = [estimate(job) for job in jobs]
    times, sizes = [guess.seconds for guess in guesses], [guess.num_bytes for guess in guesses]
    titles = [job.title for job in jobs]
    print(terminal.table([*zip(titles, map(terminal.duration, times), map(terminal.size, sizes), strict=True)]))
    count = f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}"
    print(f"\n{count}, about {terminal.duration(sum(times))} and {terminal.size(sum(sizes))}; nothing was started")


def evaluate_and_draw(job: Job, folder: RunFolder, parts: Parts | None) -> None:
    """Evaluate the run and draw its figures, unless `evaluate=false`. Print its metrics in one line."""
    metrics = {}
    if job.config.evaluate:
        from piecewise.analysis.draw import draw_run
        from piecewise.analysis.evaluate import evaluate_run

        metrics = evaluate_run(folder, parts)
        draw_run(folder)
    numbers = "  ".join(f"{key} {value:.5g}" for key, value in metrics.items())
    terminal.show(f"{job.title}  {numbers}")


def conclude(folder: Path, num_jobs: int, uri: str | None) -> None:
    """Say where the results are, and how to compare them."""
    figures = folder / ("figures" if num_jobs == 1 else "*/figures")
    lines = [("run folder", str(folder)), ("figures", str(figures))]
    if uri is not None:
        lines.append(("compare", uri if uri.startswith("http") else "piecewise ui  (or mlflow ui)"))
    terminal.say(f"\n{terminal.table(lines)}")
