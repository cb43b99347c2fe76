"""The stage `train`: every job of one experiment."""

from piecewise.execution.run_jobs import run_jobs
from piecewise.jobs.build import Parts
from piecewise.jobs.job import Job, read_jobs
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from piecewise.stages.live import live_stage
from piecewise.tracking.store.addresses import tracking_uri


def main(experiment: str) -> None:
    jobs = read_jobs(Project().build / "jobs" / f"{experiment}.json")
    with live_stage(jobs) as (folders, is_resumed):
        words = ["-m", f"experiment={experiment}"]
        run_jobs(jobs, folders, tracking_uri(Project.find()), _report, is_resumed, words)


def _report(job: Job, folder: RunFolder, parts: Parts | None) -> None:
    result = read_result(folder)
    print(f"{job.title}: {result['steps']} steps, weights {result['weights_digest'][:12]}", flush=True)
