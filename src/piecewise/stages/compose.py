"""The stage `compose`: freeze every experiment, and digest the source that each stage runs."""

from piecewise import terminal
from piecewise.planning.compose import compose
from piecewise.project import Project


def main() -> None:
    # An experiment that cannot be composed fails in its own train stage: it must not stop the others.
    for problem in compose(Project().conf, Project().build):
        terminal.fail(problem)
