"""Draw the figures, write the report, and bring every run to MLflow that is missing there."""

from piecewise.cli import guarded
from piecewise.jobs.provenance import find_root
from piecewise.journal.run_folder import all_runs
from piecewise.report.page import write_report
from piecewise.tracking.sync.sync_runs import sync, tracking_uri


def main() -> int:
    root = find_root()
    print(write_report(root))
    uri = tracking_uri(root)
    if uri is not None:
        done = sync(uri, all_runs(root))
        # A tracker that is away must not keep the report from being made.
        print(f"{len(done.updated)} runs brought to MLflow", *done.problems, sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(main))
