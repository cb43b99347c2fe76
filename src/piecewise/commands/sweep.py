"""What `train -m` and `resume` share: begin or continue a sweep, and say how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.commands.sweep_words import SweepWords
from piecewise.errors import TryAgain
from piecewise.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from piecewise.execution.sweep import Sweep
    from piecewise.jobs.job import Job

LOCK = ".sweeps.lock"  # below runs/
LOCK_SECONDS = 60.0  # planning a sweep of 10,000 jobs takes seconds
MAX_LISTED = 10  # failed jobs that are told again at the end
MAX_BEST = 3  # of the groups of jobs that may be compared


def run(jobs: list[Job], asked: SweepWords) -> int:
    """Begin the sweep of these jobs, or go on with the one that has begun. Returns the exit code.

    From the look for that sweep until its ledger is locked, other commands wait: the same one would begin it too.
    """
    from piecewise.jobs.run_key import run_keys
    from piecewise.locks import file_lock

    keys = run_keys(jobs)
    here = Project()  # of the relative paths that runs record
    with ExitStack() as beginning:
        with suppress(OSError):  # runs/ cannot be written: a new sweep says so, and a finished one changes nothing
            beginning.enter_context(file_lock(here.runs / LOCK, LOCK_SECONDS, _busy))
        sweep = _find_or_make(here, jobs, keys, asked)
        return run_to_end(sweep, jobs[0].config.tracking.uri, asked, beginning.close)


def _busy(path: Path) -> TryAgain:
    from piecewise.locks import holder

    return TryAgain(f"{holder(path)} has been beginning a sweep for {LOCK_SECONDS:.0f} s; wait for it, or stop it")


def _find_or_make(here: Project, jobs: list[Job], keys: list[str], asked: SweepWords) -> Sweep:
    """The sweep of these jobs that has begun and does not run, else a new one. Raises TryAgain if it runs."""
    from piecewise.execution.find_sweep import find_same
    from piecewise.execution.sweep import Sweep

    same, changed = (None, None) if asked.fresh else find_same(here, jobs, keys)
    old = _open(same or changed, jobs)
    if same is None or old is None:
        if old is not None:
            _tell_changed(old)
        sweep = Sweep.new(jobs, keys, asked.words, reuses=not asked.fresh)
        terminal.say(f"{sweep.id}: {len(jobs)} jobs, in {sweep.folders.root}")
        _tell_reused(sweep)
    else:
        sweep = old
        _refuse_running(sweep)
        if not sweep.is_settled(asked.retry):
            terminal.say(f"{sweep.id}: goes on with the sweep in {same}; fresh=1 trains all jobs anew")
    return sweep


def run_to_end(sweep: Sweep, uri: str | None, asked: SweepWords, when_locked: Callable[[], None] = lambda: None) -> int:
    """Run the jobs of a sweep that are not done, and print how it ended. Returns the exit code."""
    from piecewise.commands.train import show
    from piecewise.execution.run_sweep import run_sweep

    if sweep.is_settled(asked.retry):
        what = "nothing is left to train" if sweep.is_whole else "only failed jobs are left"
        terminal.say(f"{sweep.id}: {what}; piecewise train -m … fresh=1 trains all jobs anew")
        _conclude(sweep, uri, asked)
    else:
        before = [entry.attempts for entry in sweep.record.entries]
        sweep = run_sweep(sweep, uri, show, asked.retry, when_locked)
        _conclude(sweep, uri, asked, before)
    return 0 if sweep.is_whole else 1


def _open(root: Path | None, jobs: list[Job]) -> Sweep | None:
    """The sweep in a folder; None, after a warning, if its ledger is damaged."""
    from piecewise.errors import BadInput
    from piecewise.execution.sweep import Sweep

    try:
        return Sweep.at(root, jobs) if root is not None else None
    except BadInput as error:
        terminal.warn(str(error))
        return None


def _refuse_running(sweep: Sweep) -> None:
    from piecewise.locks import has_writer, holder

    if has_writer(sweep.ledger):
        raise TryAgain(
            f"{sweep.id}: these jobs run in {holder(sweep.ledger)}; piecewise watch {sweep.id} follows them; "
            "fresh=1 trains them once more"
        )


def _tell_changed(sweep: Sweep) -> None:
    """Say that a sweep of the same jobs is not gone on with, as they would have other results."""
    is_settled = sweep.is_settled()
    name = f"the {'finished' if is_settled else 'unfinished'} sweep {sweep.id}"
    text = f"{name} has these jobs too, but source, requirements.lock or data have changed: this is a new sweep"
    if is_settled:
        terminal.say(text)
    else:
        terminal.warn(f"{text}; piecewise resume {sweep.id} goes on with that one")


def _tell_reused(sweep: Sweep) -> None:
    from piecewise.execution.ledger import REUSED

    if number := sweep.states().count(REUSED):
        terminal.say(f"{number} of {len(sweep.jobs)} jobs are done already, in other sweeps or runs of this project")


def _conclude(sweep: Sweep, uri: str | None, asked: SweepWords, before: Sequence[int] = ()) -> None:
    """Print how many jobs are done, which failed and why, the best one, and where the results are.

    `before` is how often each job had been tried when this command began to run jobs.
    """
    from piecewise.execution.executors.contract import FAILED, KILLED
    from piecewise.execution.ledger import DONE

    states, entries = sweep.states(), sweep.record.entries
    failed = [entry for entry, state in zip(entries, states, strict=True) if state == FAILED]
    done, killed, waiting = sum(map(states.count, DONE)), states.count(KILLED), states.count(None)
    counts = [f"{done} of {len(states)} finished"]
    untried = [entry for entry in failed if asked.retry and before and entry.attempts == before[entry.planned.number]]
    not_tried = f" ({len(untried)} of them not tried again)" if untried else ""  # because of on_error
    with_retry, as_it_was = ("=1 instead of fresh=1", " without fresh=1") if asked.fresh else ("=1", "")
    again = f"the same command with retry{with_retry} runs them again"
    counts += [f"{len(failed)} failed{not_tried}: {again}"] if failed else []
    counts += [f"{killed} interrupted: the same command{as_it_was} continues them"] if killed else []
    counts += [f"{waiting} not started: the same command{as_it_was} goes on"] if waiting else []
    rows = [("jobs", "; ".join(counts))]
    rows += [("failed", f"{entry.planned.title}: {entry.message}") for entry in failed[:MAX_LISTED]]
    rows += [("", f"and {len(failed) - MAX_LISTED} more: {sweep.ledger} says why")] if len(failed) > MAX_LISTED else []
    rows += [*_best(sweep), *_places(sweep)]
    if uri is not None:
        rows.append(("compare", uri if uri.startswith("http") else "piecewise ui  (or mlflow ui)"))
    terminal.say(f"\n{terminal.table(rows)}")


def _best(sweep: Sweep) -> list[tuple[str, str]]:
    """The best job of each comparable group, with the command that trains it again."""
    from piecewise.commands.train import numbers
    from piecewise.jobs.overrides import names_sweep_option, shell_command

    rows = []
    best = sweep.record.best([job.frozen for job in sweep.jobs])
    for entry in best[:MAX_BEST]:
        job = sweep.jobs[entry.planned.number]
        text = f"{job.title}  val/nll {entry.val_nll:.5g}  {numbers(entry.metrics)}"
        words = [word for word in job.overrides if not names_sweep_option(word)]
        rows += [("best", text), ("", shell_command(words))]
    return rows + ([("", f"and {len(best) - MAX_BEST} more, of other data or losses")] if len(best) > MAX_BEST else [])


def _places(sweep: Sweep) -> list[tuple[str, str]]:
    root = sweep.folders.root
    found = [("table", root / "results.csv"), ("table", root / "figures" / "results.csv")]
    rows = [(name, str(path)) for name, path in found if path.is_file()]
    figures = [str(path) for path in sorted((root / "figures").glob("*.svg"))]
    if not figures and sweep.jobs[0].config.figures != "none":
        from piecewise.analysis.no_figure import why_no_figure  # imports matplotlib

        figures = list(filter(None, [why_no_figure(sweep.jobs, sweep.members())]))
    rows += [("figure", figure) for figure in figures]
    if num := _num_undrawn(sweep):
        rows.append(("", f"jobs without figures: {num}; piecewise draw {sweep.id} --all draws them"))
    return rows


def _num_undrawn(sweep: Sweep) -> int:
    """How many evaluated jobs have no figures, though all are asked for: they were done before."""
    if sweep.jobs[0].config.figures != "all":
        return 0
    folders = [sweep.folder_of(entry) for entry in sweep.record.entries]
    return sum(folder.is_done and folder.metrics.is_file() and not folder.figures.exists() for folder in folders)
