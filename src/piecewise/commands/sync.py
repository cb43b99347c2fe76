"""Bring every run to MLflow that is missing there. Saying it twice changes nothing.

A run goes to the store that it was started with. If that is a server which has another address today, or was given a
wrong one, `--moved OLD NEW` says so once and for all: piecewise sync --moved http://typo:5001 http://127.0.0.1:5001
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.journal.run_folder import RunFolder

WATCH_SECONDS = 2.0
ALL_SECONDS = 60.0  # between two looks at runs of which nothing has changed here: their store may be another one


def main(project: Project, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("sync", __doc__)
    parser.add_argument(
        "--rebuild", action="store_true", help="first set mlflow.db and mlartifacts aside; every run makes them again"
    )
    parser.add_argument("--restore", action="store_true", help="also runs that somebody has deleted in MLflow")
    parser.add_argument("--watch", action="store_true", help="again and again, while jobs run, until Ctrl-C (130)")
    parser.add_argument("--moved", metavar=("OLD", "NEW"), nargs=2, help="the server that runs know as OLD is at NEW")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.journal.run_folder import all_runs
    from piecewise.tracking.store.addresses import move
    from piecewise.tracking.store.embedded import set_aside
    from piecewise.tracking.sync.sync_runs import stores_of, tracking_uri

    if asked.moved:
        old, new = asked.moved
        move(project, old, new, filter(None, (tracking_uri(project), *stores_of(all_runs(project)))))
    aside = set_aside(project) if asked.rebuild else None
    if aside is not None:
        terminal.say(f"what there was is in {aside.relative_to(project)}")
    return _bring(project, asked.restore, asked.watch)


def _bring(project: Project, restores: bool, is_repeated: bool) -> int:
    from piecewise.journal.run_folder import all_runs
    from piecewise.tracking.store.open import EMBEDDED
    from piecewise.tracking.sync.sync_runs import stamp, sync, tracking_uri

    told: list[str] = []
    known: dict[str, Any] = {}
    brought: dict[RunFolder, Any] = {}
    looked = time.monotonic()
    while True:
        if time.monotonic() - looked > ALL_SECONDS:
            looked, brought = time.monotonic(), {}
        stamps = {folder: stamp(folder) for folder in all_runs(project)}
        changed = [folder for folder, now in stamps.items() if now is None or brought.get(folder) != now]
        done = sync(tracking_uri(project) or EMBEDDED, changed, restores, known)
        if done.updated or not is_repeated:
            print(*done.updated, f"{len(stamps)} runs, {len(done.updated)} brought up to date", sep="\n", flush=True)
        for problem in done.problems:
            if problem not in told:  # a server that is away is that for long
                terminal.fail(problem)
        told, brought = done.problems, {} if done.problems else stamps
        if told:
            known.clear()  # the store may be another one when it is back
        if not is_repeated:
            return done.exit_code
        time.sleep(WATCH_SECONDS)
