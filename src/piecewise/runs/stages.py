"""What every stage of `dvc repro` does besides its own work."""

from __future__ import annotations

from collections.abc import Callable

from piecewise.data.idx import AlteredFile
from piecewise.errors import BadInput


def run_stage(stage: Callable[..., int], *arguments: str) -> int:
    """A stage's exit code; when it meets a data file that was altered behind DVC's back, DVC is made to look again."""
    try:
        return stage(*arguments)
    except AlteredFile as error:
        # DVC trusts size and time. With a new time it hashes the file, and restores it from its cache.
        error.path.touch()
        raise BadInput(f"{error}; `dvc repro` once more restores it from DVC's cache") from error
