"""The stage `train`: every job of one experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piecewise.execution.parent_process import end_with_dvc
from piecewise.project import Project
from piecewise.stages.run import run

if TYPE_CHECKING:
    from piecewise.jobs.build import Parts
    from piecewise.jobs.job import Job
    from piecewise.journal.run_folder import RunFolder


def main(experiment: str) -> int:
    end_with_dvc()  # before the imports, which take seconds
    return run(_train, experiment)


def _train(experiment: str) -> int:
    from piecewise.execution.run_jobs import run_jobs
    from piecewise.jobs.job import read_jobs
    from piecewise.stages.live import live_stage
    from piecewise.tracking.sync.sync_runs import tracking_uri

    jobs = read_jobs(Project().build / "jobs" / f"{experiment}.json")
    with live_stage(jobs) as (folders, is_resumed):
        run_jobs(jobs, folders, tracking_uri(Project.find()), _report, is_resumed)
    return 0


def _report(job: Job, folder: RunFolder, parts: Parts | None) -> None:
    from piecewise.journal.run_folder import read_result

    result = read_result(folder)
    print(f"{job.title}: {result['steps']} steps, weights {result['weights_digest'][:12]}", flush=True)
