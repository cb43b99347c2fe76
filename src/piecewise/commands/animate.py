"""Write a GIF of a small model's fit and joints over the steps of its training.

The default file is in the current folder and named after the run.
"""

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_run()
    arguments.add_argument("--output", metavar="FILE.gif")
    arguments.add_argument("--milliseconds", type=int, default=80, help="per picture, default 80")
    asked = arguments.read()
    from piecewise.errors import BadInput
    from piecewise.journal.find import find_single_run
    from piecewise.journal.names import folder_name

    if not 10 <= asked.milliseconds <= 10_000:
        raise BadInput(f"--milliseconds={asked.milliseconds} must be from 10 to 10000")
    run = find_single_run(project, asked.run)
    path = arguments.path(asked.output or f"{folder_name(run.start.name)}-{run.start.id}.gif")
    if path.suffix != ".gif" or path.is_dir():
        raise BadInput(f"--output={path} must be a file that ends in .gif")
    from piecewise.analysis.animate import animate_run  # imports torch, which takes seconds
    from piecewise.durable import write_atomic

    write_atomic(path, animate_run(run.folder, asked.milliseconds))
    terminal.say(f"{path}: {terminal.size(path.stat().st_size)}")
