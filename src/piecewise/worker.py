"""`python -m piecewise.worker job.json`: train one job in one process. Ranks start here, not from Hydra's command line.

With `--resume FOLDER` it continues the run in that folder, also under torchrun.
"""

import sys
from pathlib import Path

from piecewise.cli import guarded
from piecewise.errors import BadInput
from piecewise.execution.train import train_as_rank
from piecewise.jobs.job import read_job

RESUME = "--resume"


def main(*arguments: str) -> None:
    """Train the job in a file. Its folder is chosen by the parent process, by `--resume`, or new."""
    if len(arguments) not in (1, 3) or arguments[1:2] not in ((), (RESUME,)):
        raise BadInput(f"usage: python -m piecewise.worker JOB.json [{RESUME} FOLDER]")
    train_as_rank(read_job(Path(arguments[0])), *map(Path, arguments[2:]))


if __name__ == "__main__":
    raise SystemExit(guarded(main, *sys.argv[1:]))
