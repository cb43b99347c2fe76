"""Run one stage of `dvc repro`. An error becomes one line and an exit code."""

from __future__ import annotations

import importlib

from piecewise.cli import guarded
from piecewise.execution.parent_process import end_with_dvc


def run(stage: str, *arguments: str) -> int:
    """The exit code of the stage, a module of piecewise.stages. It ends when DVC ends."""
    end_with_dvc()  # before the stage is imported, which takes seconds
    return guarded(_run, stage, *arguments)


def _run(stage: str, *arguments: str) -> int:
    main = importlib.import_module(f"piecewise.stages.{stage}").main
    from piecewise.data.idx import AlteredFile
    from piecewise.errors import BadInput

    try:
        main(*arguments)
    except AlteredFile as error:
        # DVC trusts size and time. With a new time it hashes the file, and restores it from its cache.
        error.path.touch()
        raise BadInput(f"{error}; `dvc repro` once more restores it from DVC's cache") from error
    return 0
