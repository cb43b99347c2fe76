"""Run the jobs of a sweep that are not done, then write its table and figure."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from piecewise import stopping
from piecewise.execution.describe import Facts
from piecewise.execution.executors.contract import FAILED, Executor
from piecewise.execution.executors.inline import Inline
from piecewise.execution.executors.pool import Auto
from piecewise.execution.ledger import Ledger
from piecewise.execution.listening import Listening, Show
from piecewise.execution.pack import PACKS
from piecewise.execution.run_jobs import Plan, run_packs
from piecewise.execution.sweep import Sweep
from piecewise.jobs.config import Component
from piecewise.jobs.targets import construct
from piecewise.locks import has_writer
from piecewise.manifest import write_manifest

ORPHAN_SECONDS = 30.0  # how long processes of a killed sweep may take to write their checkpoints


def run_sweep(
    sweep: Sweep, uri: str | None, show: Show, retries: bool = False, when_locked: Callable[[], None] = lambda: None
) -> Sweep:
    """Run the jobs that are left; returns the sweep as it is then. Calls `when_locked` once the ledger is locked.

    Raises TryAgain if another process runs the sweep, BadInput, and Stopped after a signal.
    """
    config, facts = sweep.jobs[0].config, Facts()
    with Ledger(sweep.ledger) as ledger, Listening(show, ledger, config.on_error) as listening:
        when_locked()
        _wait_for_orphans(sweep)
        sweep.write_missing_ends(ledger)
        packs = sweep.packs(facts, retries, draws=config.figures == "all")
        # Count all jobs, not those that are left: the number of slots decides how many threads each job has.
        executor = executor_for(config.executor, len(sweep.jobs))
        if not isinstance(executor, Inline):  # inline each training has a bar of its own
            listening.show_progress(sweep.jobs[0].name, len(packs))
        num_reused = sum(entry.reused is not None for entry in sweep.record.entries)
        num_failed = 0 if retries else sweep.states().count(FAILED)
        plan = Plan(sweep.jobs, sweep.folders, packs, uri, sweep.words, facts, num_reused, num_failed)
        try:
            run_packs(plan, executor, listening, lambda: settle(sweep))
        except stopping.Stopped:
            write_table(sweep, draws=False)
            raise
    return sweep.now()


def executor_for(component: Component | None, count: int) -> Executor:
    """The executor that a job names, for so many jobs; null means `auto`."""
    executor: Executor = construct(component, Executor) if component is not None else Auto()
    return executor.for_count(count) if isinstance(executor, Auto) else executor


def settle(sweep: Sweep) -> None:
    """Write the table and the figure of a sweep, and seal its folder."""
    write_table(sweep, draws=sweep.jobs[0].config.figures != "none")
    with contextlib.suppress(OSError):
        (sweep.folders.root / PACKS).rmdir()  # it is empty
    write_manifest(sweep.folders.root)


def write_table(sweep: Sweep, draws: bool) -> None:
    """Write the table of the jobs as they are now, and the figure if it `draws`."""
    from piecewise.analysis.compare import compare  # imports matplotlib

    compare(sweep.folders.parent, sweep.now().members(), draws=draws)


def _wait_for_orphans(sweep: Sweep) -> None:
    """Wait until the processes of a killed sweep have ended, also one that evaluates what it has trained."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    begun = [folder for folder in sweep.folders.jobs if folder.journal.is_file()]
    while time.monotonic() < deadline and any(has_writer(f.journal) or has_writer(f.lock) for f in begun):
        time.sleep(0.1)
