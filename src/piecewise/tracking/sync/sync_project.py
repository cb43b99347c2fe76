"""Sync all runs of a project to MLflow, once or until Ctrl-C."""

import time
from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.journal.find import run_folders
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED, tracking_uri
from piecewise.tracking.sync.sync_runs import SyncResult, change_stamp, sync

if TYPE_CHECKING:
    from piecewise.tracking.mirror.live_runs import Followed

POLL_SECONDS = 2.0
FULL_SYNC_SECONDS = 60.0  # a full sync covers unchanged runs too: their store may have been replaced


def sync_once(project: Project, restores: bool) -> int:
    """Sync all runs and print what was updated. Returns the exit code."""
    folders = run_folders(project)
    done = sync(tracking_uri(project) or EMBEDDED, folders, restores)
    _print(done, len(folders))
    for problem in done.problems:
        terminal.fail(problem)
    return done.exit_code


def sync_forever(project: Project, restores: bool) -> None:
    """Sync changed runs every POLL_SECONDS until a signal raises Stopped. A lasting problem is reported once."""
    reported: list[str] = []
    followed: Followed = {}
    synced: dict[RunFolder, tuple[int, ...] | None] = {}
    last_full_sync = time.monotonic()
    while True:
        if time.monotonic() - last_full_sync > FULL_SYNC_SECONDS:
            last_full_sync, synced = time.monotonic(), {}
        stamps = {folder: change_stamp(folder, is_ended) for folder, is_ended in run_folders(project).items()}
        changed = [folder for folder, now in stamps.items() if now is None or synced.get(folder) != now]
        done = sync(tracking_uri(project) or EMBEDDED, changed, restores, followed)
        if done.updated:
            _print(done, len(stamps))
        for problem in done.problems:
            if problem not in reported:
                terminal.fail(problem)
        reported, synced = done.problems, {} if done.problems else stamps
        if reported:
            followed.clear()  # the store may be another one when it answers again
        time.sleep(POLL_SECONDS)


def _print(done: SyncResult, num_runs: int) -> None:
    print(*done.updated, f"{num_runs} runs, {len(done.updated)} brought up to date", sep="\n", flush=True)
