"""List files that are no longer needed: checkpoints of finished runs (weights stay), and unfinished files of crashes.

`piecewise sync --rebuild` sets stores aside, and a change of MLflow's schema makes backups: the newest of each stays.
Nothing is removed without --yes.
"""

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_argument("--yes", action="store_true", help="remove these files")
    asked = arguments.read()
    from piecewise.health.leftovers import leftovers, remove

    found = leftovers(project)
    rows = [(terminal.size(item.num_bytes), project.name(item.path), item.reason) for item in found]
    if rows:
        print(terminal.table(rows))
    for item in found if asked.yes else ():
        remove(item)
    total = terminal.size(sum(item.num_bytes for item in found))
    print(f"{total} removed" if asked.yes else f"{total} can go; piecewise clean --yes removes it")
