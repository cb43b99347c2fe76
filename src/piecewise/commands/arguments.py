"""Parse a verb's options. A mistake raises BadInput instead of printing the usage."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from piecewise.errors import BadInput


class Arguments(argparse.ArgumentParser):
    """The argument parser of one verb, described by its module's docstring."""

    def __init__(self, verb: str, description: str | None) -> None:
        super().__init__(
            prog=f"piecewise {verb}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{self.prog}: {message}; {self.prog} --help says what is allowed")

    def read(self, words: Sequence[str]) -> argparse.Namespace | None:
        """The options, or None after printing the help. Raises BadInput."""
        try:
            return self.parse_args(words)
        except SystemExit:  # argparse exits after printing its help
            return None

    def add_run(self) -> None:
        """Add the argument that names a run."""
        self.add_argument("run", metavar="RUN", help="its id, the beginning of its id, its title, or `last`")


def given_path(text: str, started_in: Path) -> Path:
    """The path in `text`, relative to the folder where the command was typed."""
    return started_in / Path(text).expanduser()
