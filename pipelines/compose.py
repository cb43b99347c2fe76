"""Freeze every experiment to a file of jobs, and digest the sources that each stage runs."""

from pathlib import Path

from piecewise import terminal
from piecewise.cli import guarded
from piecewise.planning.compose import compose


def main() -> int:
    # An experiment that cannot be composed fails in its own train stage: one broken file must not stop the others.
    for problem in compose(Path("conf"), Path("build")):
        terminal.fail(problem)
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(main))
