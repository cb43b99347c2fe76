"""What `piecewise train --dry-run` prints: the jobs, their time and disk by estimate, and how far they are already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from piecewise import terminal
from piecewise.commands.sweep_words import SweepWords
from piecewise.errors import BadInput
from piecewise.execution.executors.contract import FAILED, KILLED
from piecewise.execution.find_sweep import find_same
from piecewise.execution.ledger import DONE
from piecewise.execution.reuse import finished_runs
from piecewise.execution.sweep import Sweep
from piecewise.jobs.job import Job
from piecewise.jobs.run_key import run_keys
from piecewise.journal.reader import read_start
from piecewise.journal.run_folder import RunFolder
from piecewise.planning.estimate import Estimate, Estimator
from piecewise.project import Project
from piecewise.training import checkpoint_files


@dataclass(frozen=True)
class Standing:
    """How far a job is. `left` is the part of its steps that the command would take, from 0 to 1."""

    words: str = ""
    left: float = 1.0


DONE_ALREADY, FAILED_BEFORE = Standing("done", 0), Standing("failed", 0)


def announce(project: Project, jobs: Sequence[Job], asked: SweepWords) -> None:
    """Print a line for each job, and the sums."""
    is_sweep, estimator = len(jobs) > 1, Estimator()
    standings = [Standing()] * len(jobs)
    if is_sweep and not asked.fresh:
        standings = _standings(project, jobs, asked.retry)
    guesses = []
    for job, standing in zip(jobs, standings, strict=True):
        guess = estimator.estimate(job, is_sweep) if standing.left else None
        guesses.append(replace(guess, seconds=standing.left * guess.seconds) if guess is not None else None)
    rows = zip(jobs, guesses, standings, strict=True)
    print(terminal.table([(job.title, *_cost(guess), standing.words) for job, guess, standing in rows]))
    print(f"\n{_sums(guesses, standings)}; nothing was started")


def _standings(project: Project, jobs: Sequence[Job], retries: bool) -> list[Standing]:
    """How far each job is: in the sweep that the same command goes on with; else in any finished run."""
    try:
        keys = run_keys(jobs)
        root, _ = find_same(project, jobs, keys)
        sweep = Sweep.at(root, list(jobs)) if root is not None else None
    except BadInput as error:  # the data are not there, or a ledger is damaged
        terminal.warn(f"which jobs are done is not known: {error}")
        return [Standing()] * len(jobs)
    if sweep is None:
        done = finished_runs(jobs, keys)
        return [DONE_ALREADY if number in done else Standing() for number in range(len(jobs))]
    found = zip(sweep.states(), sweep.folders.jobs, strict=True)
    return [_standing(state, folder, retries) for state, folder in found]


def _standing(state: str | None, folder: RunFolder, retries: bool) -> Standing:
    if state in DONE:
        return DONE_ALREADY
    if state == FAILED and not retries:
        return FAILED_BEFORE
    word = {FAILED: "failed", KILLED: "interrupted"}.get(state or "", "")
    start = read_start(folder.journal) if folder.journal.is_file() else None
    checkpoint = checkpoint_files.newest(folder.checkpoints)
    if start is None or not start.steps_planned or checkpoint is None:
        return Standing(word)
    step = int(checkpoint.stem)
    return Standing(f"{word} at step {step} of {start.steps_planned}".lstrip(), 1 - step / start.steps_planned)


def _cost(guess: Estimate | None) -> tuple[str, str]:
    return ("", "") if guess is None else (terminal.duration(guess.seconds), terminal.size(guess.num_bytes))


def _sums(guesses: Sequence[Estimate | None], standings: Sequence[Standing]) -> str:
    left = [guess for guess in guesses if guess is not None]
    jobs = f"{len(guesses):,} job{'s' if len(guesses) > 1 else ''}"
    done, failed = standings.count(DONE_ALREADY), standings.count(FAILED_BEFORE)
    told = [f"{done:,} of them done already"] if done else []
    told += [f"{failed:,} failed (retry=1 runs them again)"] if failed else []
    if not left:
        return f"{jobs}, {', '.join(told) if failed else 'all done already'}"
    time, disk = sum(guess.seconds for guess in left), sum(guess.num_bytes for guess in left)
    others = ", ".join([*told, "the others "]) if told else ""
    one_by_one = " one after the other" if len(left) > 1 else ""
    return f"{jobs}, {others}about {terminal.duration(time)}{one_by_one} and {terminal.size(disk)}"
