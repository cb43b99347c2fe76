"""Bring to MLflow the runs that are missing there. Repeating it changes nothing.

A run goes to the store that it was started with. If that store is a server with a new address, or the address was
wrong, `--moved OLD NEW` records the new one for good:
piecewise sync --moved http://typo:5001 http://127.0.0.1:5001
"""

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> int:
    arguments.add_argument(
        "--rebuild", action="store_true", help="first set mlflow.db and mlartifacts aside, then make them from the runs"
    )
    arguments.add_argument("--restore", action="store_true", help="restore runs that were deleted in MLflow")
    arguments.add_argument("--watch", action="store_true", help="repeat until Ctrl-C (exit code 130), to follow jobs")
    arguments.add_argument("--moved", metavar=("OLD", "NEW"), nargs=2, help="the server at OLD is now at NEW")
    asked = arguments.read()
    from piecewise.journal.run_folder import all_runs
    from piecewise.tracking.store.addresses import named_stores, record_move, tracking_uri
    from piecewise.tracking.store.embedded import set_aside
    from piecewise.tracking.sync.sync_project import sync_forever, sync_once

    if asked.moved:
        old, new = asked.moved
        record_move(project, old, new, filter(None, (tracking_uri(project), *named_stores(all_runs(project)))))
    aside = set_aside(project) if asked.rebuild else None
    if aside is not None:
        terminal.say(f"the previous store is in {aside.relative_to(project)}")
    if asked.watch:
        sync_forever(project, asked.restore)
    return sync_once(project, asked.restore)
