"""Running one stage of `dvc repro`: its errors in a line, its exit code."""

from __future__ import annotations

from collections.abc import Callable

from piecewise.cli import guarded


def run(stage: Callable[..., int], *arguments: str) -> int:
    """The stage's exit code. A data file that was altered without DVC is marked so that DVC restores it next time."""
    return guarded(_marking_altered_files, stage, *arguments)


def _marking_altered_files(stage: Callable[..., int], *arguments: str) -> int:
    from piecewise.data.idx import AlteredFile
    from piecewise.errors import BadInput

    try:
        return stage(*arguments)
    except AlteredFile as error:
        # DVC trusts size and time. With a new time it hashes the file, and restores it from its cache.
        error.path.touch()
        raise BadInput(f"{error}; `dvc repro` once more restores it from DVC's cache") from error
