"""`python -m piecewise.worker job.json`: one job in one process. Ranks start here, never from Hydra's command line.

With `--resume FOLDER` the run in that folder goes on, also under torchrun.
"""

from __future__ import annotations

import sys
from pathlib import Path

from piecewise.cli import guarded
from piecewise.errors import BadInput
from piecewise.execution.train import train_as_rank
from piecewise.jobs.job import read_job

RESUME = "--resume"


def main(*arguments: str) -> int:
    """Train the job in the file named, into the folder its parent chose, one that is resumed, or a new one."""
    if len(arguments) not in (1, 3) or arguments[1:2] not in ((), (RESUME,)):
        raise BadInput(f"usage: python -m piecewise.worker JOB.json [{RESUME} FOLDER]")
    train_as_rank(read_job(Path(arguments[0])), *map(Path, arguments[2:]))
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(main, *sys.argv[1:]))
