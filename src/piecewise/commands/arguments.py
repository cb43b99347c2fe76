"""Parse the arguments of one verb, such as `train`. Invalid arguments raise BadInput."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from piecewise.errors import BadInput


class HelpPrinted(Exception):
    """A verb's help was printed, and the caller should stop."""


class Arguments(argparse.ArgumentParser):
    """The words typed after a verb, with the parser for them. `description` is the docstring of the verb's module."""

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
        raise BadInput(f"{self.prog}: {message}; {self.prog} --help lists the options")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise HelpPrinted  # argparse calls this only after it has printed the help

    def read(self) -> argparse.Namespace:
        """Parse the words. Raises BadInput if they are invalid, and HelpPrinted after --help."""
        return self.parse_args(self.words)

    def add_run(self) -> None:
        """Add the argument that names a run."""
        words = "an id, the beginning of an id, a title, a folder, or `last`: the newest run or sweep"
        self.add_argument("run", metavar="RUN", type=self._run, help=words)

    def _run(self, text: str) -> str:
        """`text`; the absolute path, if it is written as a path and is one from the folder where it was typed."""
        looks_like_path = "/" in text or text in (".", "..")
        path = os.path.realpath(self.path(text))  # pathlib would raise for a long title
        return path if looks_like_path and os.access(path, os.F_OK) else text

    def path(self, text: str) -> Path:
        """`text` as a path; a relative one starts at the folder where the command was typed."""
        return self.started_in / Path(text).expanduser()
