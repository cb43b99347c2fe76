"""Bring every run to MLflow that is missing there. Saying it twice changes nothing."""

from __future__ import annotations

import time
from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.errors import TryAgain

WATCH_SECONDS = 2.0


def main(root: Path, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("sync", __doc__)
    parser.add_argument(
        "--rebuild", action="store_true", help="first set mlflow.db and mlartifacts aside; every run makes them again"
    )
    parser.add_argument("--restore", action="store_true", help="also runs that somebody has deleted in MLflow")
    parser.add_argument("--watch", action="store_true", help="again and again, while jobs run, until Ctrl-C")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.journal.folder import all_runs
    from piecewise.runs.record import sync, tracking_uri
    from piecewise.tracking.embedded import set_aside
    from piecewise.tracking.store import EMBEDDED

    aside = set_aside(root) if asked.rebuild else None
    if aside is not None:
        terminal.say(f"what there was is in {aside.relative_to(root)}")
    while True:
        done = sync(tracking_uri(root) or EMBEDDED, all_runs(root), asked.restore)
        if done.updated or not asked.watch:
            print(*done.updated, f"{done.seen} runs, {len(done.updated)} brought up to date", sep="\n", flush=True)
        for problem in done.problems:
            terminal.fail(problem)
        if not asked.watch:
            break
        time.sleep(WATCH_SECONDS)
    if done.is_busy:
        return TryAgain.exit_code
    return 1 if done.problems else 0
