"""List files that are no longer needed: checkpoints of finished runs (weights stay), and unfinished files of crashes.

`piecewise sync --rebuild` sets stores aside, and a change of MLflow's schema makes backups: the newest of each stays.
Nothing is removed without --yes, and nothing that another process works on.
"""

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> int:
    arguments.add_argument("--yes", action="store_true", help="remove these files")
    asked = arguments.read()
    from piecewise.errors import PiecewiseError, TryAgain
    from piecewise.health.leftovers import leftovers, remove

    found = [(item, item.num_bytes) for item in leftovers(project)]
    rows = [(terminal.size(size), project.name(item.path), item.reason) for item, size in found]
    if rows:
        print(terminal.table(rows))
    total, has_failed = 0, False
    for item, size in found:
        try:
            if asked.yes:
                remove(item)
            total += size
        except TryAgain as error:  # a process has begun to work on it since
            terminal.warn(f"kept {project.name(item.path)}: {error}")
        except (PiecewiseError, OSError) as error:
            terminal.fail(terminal.explain(error))
            has_failed = True
    said = terminal.size(total)
    print(f"{said} removed" if asked.yes else f"{said} can go; piecewise clean --yes removes it")
    return int(has_failed)
