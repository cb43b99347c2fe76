"""Bring every run to MLflow that is missing there. Saying it twice changes nothing."""

from __future__ import annotations

from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.errors import TryAgain


def main(root: Path, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("sync", __doc__)
    parser.add_argument(
        "--rebuild", action="store_true", help="first set mlflow.db and mlartifacts aside; every run makes them again"
    )
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.runs.record import all_runs, sync, tracking_uri
    from piecewise.tracking.embedded import set_aside
    from piecewise.tracking.store import EMBEDDED

    aside = set_aside(root) if asked.rebuild else None
    if aside is not None:
        terminal.say(f"what there was is in {aside.relative_to(root)}")
    done = sync(tracking_uri(root) or EMBEDDED, all_runs(root))
    print(f"{done.seen} runs, {done.updated} brought up to date")
    for problem in done.problems:
        terminal.fail(problem)
    if done.is_busy:
        return TryAgain.exit_code
    return 1 if done.problems else 0
