"""Reading a verb's options: a mistake is bad input like any other, not a page of usage."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from piecewise.errors import BadInput


class Arguments(argparse.ArgumentParser):
    """argparse for one verb, described by its module's docstring. Raises BadInput."""

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
        """The options; None if `words` only asked for help, which has been given then."""
        try:
            return self.parse_args(words)
        except SystemExit:  # argparse leaves after its help
            return None

    def add_run(self) -> None:
        """The run a verb is about."""
        self.add_argument("run", metavar="RUN", help="its id, the beginning of it, its title, or `last`")


def given_path(text: str, started_in: Path) -> Path:
    """A path as the person meant it: relative to where the command was typed."""
    return started_in / Path(text).expanduser()
