"""The stage `compose`: freeze every experiment, and digest the source that each stage runs."""

from __future__ import annotations

from piecewise import terminal
from piecewise.project import Project
from piecewise.stages.run import run


def main() -> int:
    return run(_compose)


def _compose() -> int:
    from piecewise.planning.compose import compose

    # An experiment that cannot be composed fails in its own train stage: it must not stop the others.
    for problem in compose(Project().conf, Project().build):
        terminal.fail(problem)
    return 0
