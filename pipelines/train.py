"""Train every job of one experiment: python pipelines/train.py EXPERIMENT."""
# ruff: noqa: E402

import sys
from pathlib import Path

from piecewise.execution.parent import end_with_dvc

end_with_dvc()  # before the imports, which take seconds

from piecewise.cli import guarded
from piecewise.execution.session import run_jobs
from piecewise.execution.stages import live_stage, run_stage
from piecewise.jobs.job import Job, read_jobs
from piecewise.jobs.provenance import find_root
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.tracking.sync.sync_runs import tracking_uri


def main(experiment: str) -> int:
    jobs = read_jobs(Path("build/jobs") / f"{experiment}.json")
    with live_stage(jobs) as (places, is_resumed):
        run_jobs(jobs, places, tracking_uri(find_root()), finish, is_resumed)
    return 0


def finish(job: Job, folder: RunFolder) -> None:
    result = read_result(folder)
    print(f"{job.title}: {result['steps']} steps, weights {result['weights_digest'][:12]}", flush=True)


if __name__ == "__main__":
    raise SystemExit(guarded(run_stage, main, *sys.argv[1:]))
