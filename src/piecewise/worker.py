"""`python -m piecewise.worker job.json`: one job in one process. Ranks start here, never from Hydra's command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from piecewise.cli import guarded
from piecewise.errors import BadInput
from piecewise.jobs.job import read_job
from piecewise.runs.orphan import end_with_starter
from piecewise.runs.ranks import REQUEST
from piecewise.runs.train import train_as_rank


def main(*arguments: str) -> int:
    """Train the job in the file named, into the folder its parent chose or a new one below runs/."""
    if len(arguments) != 1:
        raise BadInput("usage: python -m piecewise.worker JOB.json")
    if REQUEST in os.environ:  # from whoever started it, and waits
        end_with_starter()
    train_as_rank(read_job(Path(arguments[0])))
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(main, *sys.argv[1:]))
