"""Draw the figures of an evaluated run again, or the table and figures of a sweep.

The jobs of a sweep have no figures at first, because drawing takes longer than training a small model: with --all every
evaluated job is drawn. What is drawn goes to MLflow, if the run is tracked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.errors import BadInput
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.journal.run_folder import RunFolder


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_run()
    arguments.add_argument("--all", action="store_true", help="of a sweep, draw every evaluated job too")
    asked = arguments.read()
    from piecewise.journal.find import find_run

    run = find_run(project, asked.run)
    if run.folder.is_of_pipeline:
        raise BadInput(f"{run.start.title} belongs to the pipeline: piecewise report draws its runs")
    if run.start.is_sweep:
        drawn = _draw_sweep(project, run.folder, asked.all)
    elif asked.all:
        raise BadInput(f"--all: {run.start.title} is one run; allowed for a sweep")
    else:
        drawn = [run.folder]
        _draw_run(project, run.folder, run.start.title, run.id)
    _send(drawn)


def _draw_run(project: Project, folder: RunFolder, title: str, run_id: str) -> None:
    """Raises PiecewiseError if the run is not finished, and TryAgain while it trains."""
    from piecewise.analysis.current import is_evaluated
    from piecewise.journal.run_folder import read_result

    with folder.held():
        read_result(folder)
        if not is_evaluated(folder):
            raise BadInput(f"{title} is not evaluated; piecewise evaluate {run_id} measures and draws it")
        from piecewise.analysis.draw import draw_run  # imports matplotlib
        from piecewise.manifest import update_manifest

        names = draw_run(folder)
        update_manifest(folder.sealed, [folder.figures.name])
    _say(project, folder, names)


def _draw_sweep(project: Project, parent: RunFolder, draws_jobs: bool) -> list[RunFolder]:
    """Draw a sweep, and its evaluated jobs if asked; returns the folders with new figures."""
    with parent.held():
        from piecewise.analysis.compare import compare
        from piecewise.analysis.current import is_evaluated
        from piecewise.analysis.no_figure import why_no_figure
        from piecewise.execution.sweep import Sweep
        from piecewise.manifest import update_manifest

        sweep = Sweep.at(parent.sealed)
        members = sweep.members()
        names = compare(parent, members)
        update_manifest(parent.sealed, [parent.figures.name, parent.table.name])
    terminal.say(project.name(parent.table))
    _say(project, parent, names)
    if not names and (reason := why_no_figure(sweep.jobs, members)):
        terminal.say(f"figure of the sweep: {reason}")
    jobs = [(sweep.folder_of(entry), entry.planned) for entry in sweep.record.entries if draws_jobs]
    evaluated = [(folder, job) for folder, job in jobs if folder.is_done and is_evaluated(folder)]
    for folder, job in evaluated:
        _draw_run(project, folder, job.title, job.run_id)
    return [parent, *(folder for folder, _ in evaluated)]


def _say(project: Project, folder: RunFolder, names: list[str]) -> None:
    for name in names:
        terminal.say(project.name(folder.figures / f"{name}.svg"))


def _send(folders: list[RunFolder]) -> None:
    """Send what was drawn to the stores that the runs name, and warn of what did not arrive."""
    from piecewise.tracking.sync.sync_runs import sync

    for problem in sync(None, folders).problems:
        terminal.warn(f"not in MLflow: {problem}; piecewise sync brings the rest")
