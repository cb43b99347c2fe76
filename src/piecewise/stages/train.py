"""The stage `train`: every job of one experiment."""

from piecewise.execution.executors.contract import Outcome
from piecewise.execution.pack import Pack
from piecewise.execution.run_jobs import run_jobs
from piecewise.jobs.job import read_jobs
from piecewise.journal.run_folder import read_result
from piecewise.project import Project
from piecewise.stages.live import live_stage
from piecewise.tracking.store.addresses import tracking_uri


def main(experiment: str) -> None:
    jobs = read_jobs(Project().build / "jobs" / f"{experiment}.json")
    with live_stage(jobs) as (folders, is_resumed):
        words = ["-m", f"experiment={experiment}"]
        run_jobs(jobs, folders, tracking_uri(Project.find()), _report, is_resumed, words, evaluates=False)


def _report(pack: Pack, outcome: Outcome) -> None:
    result = read_result(pack.folder)
    print(f"{pack.job.title}: {result['steps']} steps, weights {result['weights_digest'][:12]}", flush=True)
