"""Write a GIF of a small model's fit and joints over the steps of its training.

The default file is in the current folder and named after the run.
"""

from __future__ import annotations

from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments, given_path
from piecewise.project import Project

MILLISECONDS = 80


def main(project: Project, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("animate", __doc__)
    parser.add_run()
    parser.add_argument("--output", metavar="FILE.gif")
    parser.add_argument("--milliseconds", type=int, default=MILLISECONDS, help=f"per picture, default {MILLISECONDS}")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.analysis.animate import animate_run
    from piecewise.durable import write_atomic
    from piecewise.errors import BadInput
    from piecewise.journal.find import find_run

    if not 10 <= asked.milliseconds <= 10_000:
        raise BadInput(f"--milliseconds={asked.milliseconds} must be from 10 to 10000")
    run = find_run(project, asked.run)
    path = given_path(asked.output or f"{run.start.name}-{run.start.id}.gif", started_in)
    if path.suffix != ".gif" or path.is_dir():
        raise BadInput(f"--output={path} must be a file that ends in .gif")
    write_atomic(path, animate_run(run.folder, asked.milliseconds))
    terminal.say(f"{path}: {terminal.size(path.stat().st_size)}")
    return 0
