"""`python -m piecewise.worker job.json`: one job in one process. Ranks start here, never from Hydra's command line."""

from __future__ import annotations

import sys
from pathlib import Path

from piecewise.errors import PiecewiseError
from piecewise.jobs.job import read_job
from piecewise.jobs.train import train_as_rank


def main(arguments: list[str]) -> int:
    """Train the job in the file named, into the folder its parent chose or a new one below runs/."""
    if len(arguments) != 1:
        print("usage: python -m piecewise.worker JOB.json", file=sys.stderr)
        return 2
    try:
        train_as_rank(read_job(Path(arguments[0])))
    except PiecewiseError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
