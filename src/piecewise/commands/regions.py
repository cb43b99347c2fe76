"""Print and draw the exact joints and linear regions of a ReLU network with one or two inputs.

For two inputs, each activation pattern has a row; the largest comes first. The default SVG file is in the current
folder and named after the run.
"""

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project

MAX_ROWS = 40


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_run()
    arguments.add_argument("--range", nargs="+", type=float, metavar="X", help="lower and upper bound of each input")
    arguments.add_argument("--all", action="store_true", help=f"print every row, not only the first {MAX_ROWS}")
    arguments.add_argument("--output", metavar="FILE.svg")
    asked = arguments.read()
    from piecewise.errors import BadInput
    from piecewise.journal.find import find_single_run
    from piecewise.journal.names import folder_name

    run = find_single_run(project, asked.run)
    path = arguments.path(asked.output or f"{folder_name(run.start.name)}-{run.start.id}-regions.svg")
    if path.suffix != ".svg" or path.is_dir():
        raise BadInput(f"--output={path} must be a file that ends in .svg")
    from piecewise.analysis.regions import regions_of_run  # imports torch, which takes seconds
    from piecewise.durable import write_atomic
    from piecewise.extras import Extras
    from piecewise.figures.style import to_svg

    found = regions_of_run(run.folder, asked.range)
    rows = found.rows if asked.all else found.rows[:MAX_ROWS]
    print(terminal.table([found.header, *rows]))
    if len(rows) < len(found.rows):
        print(f"… and {len(found.rows) - len(rows)} more; --all prints them")
    terminal.say("\n".join(["", *found.summary]))
    svg = Extras(run.start.title).make("the figure", lambda: to_svg(found.draw()))
    if svg is not None:
        write_atomic(path, svg)
        terminal.say(f"\n{path}: {terminal.size(len(svg))}")
