"""The stage `report`: figures and page, and every run that MLflow does not have yet."""

from __future__ import annotations

from piecewise.project import Project
from piecewise.stages.run import run


def main() -> int:
    return run(_report)


def _report() -> int:
    from piecewise.journal.run_folder import all_runs
    from piecewise.report.page import write_report
    from piecewise.tracking.sync.sync_runs import sync, tracking_uri

    project = Project.find()
    print(write_report(project))
    uri = tracking_uri(project)
    if uri is not None:
        done = sync(uri, all_runs(project))
        # The report is made even if the tracking server cannot be reached.
        print(f"{len(done.updated)} runs brought to MLflow", *done.problems, sep="\n")
    return 0
