"""Parse a verb's options. A mistake raises BadInput instead of printing the usage."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from piecewise.errors import BadInput


class HelpPrinted(Exception):
    """The user has asked for a verb's help, and nothing else is to be done."""


class Arguments(argparse.ArgumentParser):
    """What a user typed after a verb, and its parser. The verb's module describes the verb in its docstring."""

    def __init__(self, verb: str, description: str | None, words: Sequence[str], started_in: Path) -> None:
        super().__init__(
            prog=f"piecewise {verb}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.words = words
        self.started_in = started_in  # the folder where the command was typed

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{self.prog}: {message}; {self.prog} --help says what is allowed")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise HelpPrinted  # argparse exits after printing its help

    def read(self) -> argparse.Namespace:
        """The options. Raises BadInput."""
        return self.parse_args(self.words)

    def add_run(self) -> None:
        """Add the argument that names a run."""
        self.add_argument("run", metavar="RUN", help="its id, the beginning of its id, its title, or `last`")

    def path(self, text: str) -> Path:
        """The path in `text`, relative to the folder where the command was typed."""
        return self.started_in / Path(text).expanduser()
