"""Run one stage of `dvc repro`: print an error as one line, and return the exit code."""

import importlib

from piecewise.cli import guarded
from piecewise.processes import end_with_dvc


def run(stage: str, *arguments: str) -> int:
    """Run the module `piecewise.stages.<stage>` and return its exit code. If DVC is killed, this process ends too."""
    end_with_dvc()  # first, because DVC may be killed while the stage is imported, which takes seconds
    return guarded(_run, stage, *arguments)


def _run(stage: str, *arguments: str) -> None:
    main = importlib.import_module(f"piecewise.stages.{stage}").main
    from piecewise.data.idx import AlteredFile
    from piecewise.errors import BadInput

    try:
        main(*arguments)
    except AlteredFile as error:
        # DVC takes a file of the same size and modification time for unchanged. A new time makes it look again.
        error.path.touch()
        raise BadInput(f"{error}; run `dvc repro` again to restore it from DVC's cache") from error
