"""The stage `report`: figures and page, and every run that MLflow does not have yet."""

from piecewise import terminal
from piecewise.journal.run_folder import all_runs
from piecewise.project import Project
from piecewise.report.page import write_report
from piecewise.report.results import collect, not_met
from piecewise.tracking.store.addresses import tracking_uri
from piecewise.tracking.sync.sync_runs import sync


def main() -> None:
    project = Project.find()
    print(write_report(project))
    uri = tracking_uri(project)
    if uri is not None:
        done = sync(uri, all_runs(project))
        # The report is made even if the tracking server cannot be reached.
        print(f"{len(done.updated)} runs brought to MLflow", *done.problems, sep="\n")
    for row in not_met(collect(project)):  # last, so that nobody overlooks it
        words = row.experiment, row.label, row.metric, row.bound, row.judgement
        terminal.warn(" ".join(word for word in words if word))
