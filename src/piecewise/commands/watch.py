"""Follow a sweep that another process runs, until it ends: states, progress, the best job so far, the time left.

  piecewise watch          the newest sweep
  piecewise watch SWEEP

On a terminal it is redrawn every second; elsewhere lines are printed when a job has started or ended, and at
least once a minute.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.errors import BadInput
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.execution.sweep_status import SweepStatus

REDRAW_SECONDS = 1.0
LINE_SECONDS = 2.0  # between two lines where nothing is redrawn


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_argument("sweep", metavar="SWEEP", nargs="?", help="as RUN of other verbs; without it the newest")
    asked = arguments.read()
    from piecewise.execution.sweep_status import INTERRUPTED, WAITING, SweepStatus, age, lines

    root = _find(project, asked.sweep)
    status = SweepStatus(root)
    status.look()
    terminal.show(f"{project.name(root)}  {age(status)}\n{status.record.head['command']}")
    if sys.stdout.isatty():
        _redraw(status)
    else:
        _print_changes(status)
    terminal.show("\n".join(lines(status)))
    if status.counts[WAITING] or status.counts[INTERRUPTED]:
        terminal.show(f"no process runs it: piecewise resume {status.record.head['id']} goes on")


def _redraw(status: SweepStatus) -> None:
    from piecewise.execution.sweep_status import lines

    while status.is_alive:
        width, height = shutil.get_terminal_size()
        shown = [line[:width] for line in lines(status)][: height - 1]  # only what is on the screen can be redrawn
        terminal.show("\n".join(shown))
        time.sleep(REDRAW_SECONDS)
        terminal.show(f"\x1b[{len(shown)}F\x1b[J", end="")
        status.look()


def _print_changes(status: SweepStatus) -> None:
    from piecewise.execution.status_changes import StatusChanges

    changes = StatusChanges(status)
    while status.is_alive:
        for line in changes.lines(time.monotonic()):
            terminal.show(line)
        time.sleep(LINE_SECONDS)
        status.look()


def _find(project: Project, text: str | None) -> Path:
    """The folder of a sweep, or of the sweep of a job. Raises BadInput."""
    from piecewise.execution.find_sweep import newest
    from piecewise.execution.job_folders import JOBS
    from piecewise.execution.ledger import LEDGER
    from piecewise.journal.find import find_run

    if text is None:
        root = newest(project)
        if root is None:
            raise BadInput("there is no sweep below runs/; piecewise train -m KEY=a,b makes one")
        return root
    run = find_run(project, text)
    roots = [run.folder.sealed, run.folder.sealed.parent]
    for root in roots:
        if (root / LEDGER).is_file():
            return root
        if (root / JOBS).is_file():
            raise BadInput(f"{root / LEDGER} is missing; piecewise resume {root.name} makes it again")
    raise BadInput(f"{run.title} is no sweep with a ledger; allowed: a run of piecewise train -m, or one of its jobs")
