"""Kills of a sweep's process and of its workers: what is done stays, and the same command ends with the same table."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest

from piecewise.execution.ledger import Entry
from piecewise.project import Project
from running_server import wait_for
from small_project import new_project
from swept import (
    SWEEP,
    Files,
    Swept,
    assert_nothing_runs,
    new_place,
    seeds,
    steps_in,
    sweeps,
    the_sweep,
    wait_for_sweep,
)
from trials import Trials
from warm_commands import Command, WarmCommands

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NUM_JOBS = 24
NUM_FEW, NUM_KILLS = 7, 5  # jobs of a sweep whose workers are killed, and how many are
FEW = [*SWEEP, "executor=pool", "executor.slots=2", seeds(range(NUM_FEW))]
KILLED = -signal.SIGKILL


def kill_sweep(command: Command, project: Project, rng: Random) -> dict[int, Files]:
    """Kill the sweep's process after a random number of records, or while it plans.

    Returns the files of the jobs that were done.
    """
    records = rng.randrange(-6, 2 * NUM_JOBS)
    if records >= 0:
        sweep = wait_for_sweep(project)
        wait_for(lambda: sweep.count("started") + sweep.count("ended") >= records or command.poll() is not None, "it")
    time.sleep(rng.random() * (0.2 if records >= 0 else 1))
    if command.poll() is None:
        os.kill(command.pid, signal.SIGKILL)
    assert command.wait() in (KILLED, 0)
    if not sweeps(project):
        return {}
    sweep = the_sweep(project)
    done = [entry.planned.number for entry in sweep.entries if entry.state == "FINISHED"]
    return {number: sweep.files(number) for number in done}


def assert_whole(sweep: Swept, undisturbed: Swept) -> None:
    """The sweep has each job once, as in the undisturbed sweep, and all have finished."""
    assert sweep.states == ["FINISHED"] * NUM_JOBS
    assert sweep.table == undisturbed.table
    assert sweep.weights() == undisturbed.weights()
    folders = sorted(path.name for path in sweep.root.glob("[0-9]*"))
    assert folders == [f"{number:04d}" for number in range(NUM_JOBS)]
    starts = [sweep.start(number) for number in range(NUM_JOBS)]
    keys = {start.raw["run_key"] for start in starts}
    assert keys == {entry.planned.run_key for entry in undisturbed.entries}
    assert [start.id for start in starts] == [entry.planned.run_id for entry in sweep.entries]
    assert len({start.id for start in starts}) == len(keys) == NUM_JOBS
    assert {sweep.status(name) for name in (".", *folders)} == {"FINISHED"}


def assert_in_mlflow(project: Project, sweep: Swept) -> None:
    """MLflow has one parent with all jobs as children; all have finished."""
    query = """SELECT status, ids.value, parents.value FROM runs
        JOIN tags ids ON ids.run_uuid = runs.run_uuid AND ids.key = 'piecewise.run_id'
        LEFT JOIN tags parents ON parents.run_uuid = runs.run_uuid AND parents.key = 'mlflow.parentRunId'"""
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        found = database.execute(query).fetchall()
    assert {status for status, _, _ in found} == {"FINISHED"}
    children = sorted(own for _, own, parent in found if parent is not None)
    assert children == sorted(entry.planned.run_id for entry in sweep.entries)
    assert len(found) == NUM_JOBS + 1
    assert len({parent for *_, parent in found}) == 2


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, commands: WarmCommands) -> Swept:
    """A sweep by the pool. By the executor `inline` it has the same run keys, bits and table."""
    root = new_project(tmp_path_factory.mktemp("undisturbed") / "a project")
    commands.run(root, *SWEEP, "executor=pool", seeds(range(NUM_JOBS)))
    return the_sweep(Project(root))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, commands: WarmCommands) -> Swept:
    """The sweep of FEW, undisturbed."""
    root = new_project(tmp_path_factory.mktemp("few") / "a project")
    commands.run(root, *FEW)
    return the_sweep(Project(root))


@pytest.mark.parametrize(("executor", "tracked"), [("inline", 0), ("pool", 4)])
def test_the_sweeps_process_is_killed(
    project: Project, commands: WarmCommands, undisturbed: Swept, trials: Trials, executor: str, tracked: int
) -> None:
    """In every fifth trial MLflow records the runs."""
    words, was_killed = [*SWEEP, f"executor={executor}", seeds(range(NUM_JOBS))], 0
    promise = f"sweeps ({executor}) whose process is killed: done jobs untouched, the same command, the same table"
    for number, rng in enumerate(trials(promise, 30)):
        own, has_store = new_place(project, str(number)), number % 5 == tracked
        asked = [*words, *(["tracking=embedded"] if has_store else [])]
        command = commands.start(own.root, *asked)
        done = kill_sweep(command, own, rng)
        was_killed += command.wait() == KILLED
        count = 2 if number % 2 and sweeps(own) else 1  # before the sweep was planned, two would be two sweeps
        again = [commands.start(own.root, *asked) for _ in range(count)]
        assert sorted(one.wait() for one in again) in ([0], [0, 75], [0, 0]), [one.errors for one in again]
        sweep = the_sweep(own)
        assert {job: sweep.files(job) for job in done} == done
        assert_whole(sweep, undisturbed)
        assert_nothing_runs(own)
        if has_store:
            commands.run(own.root, "sync")
            assert_in_mlflow(own, sweep)
    assert was_killed >= 0.8 * trials.count(30) - 1  # few kills come too late


def kill_worker(sweep: Swept, seed: int, num_steps: int, steps: Path) -> None:
    """Kill the process of a job after so many steps. It may have ended before."""
    path = steps / str(seed)
    wait_for(lambda: sweep.count("started") > seed, "the job's start")
    wait_for(lambda: len(steps_in(path)) >= num_steps or sweep.entries[seed].ended, f"a step of job {seed}")
    process = sweep.entries[seed].process
    assert process is not None
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def assert_told(command: Command, sweep: Swept, killed: list[Entry]) -> None:
    """Each killed job has one line; its run has ended as KILLED, unless it was killed before its journal began."""
    told = command.errors.splitlines()
    assert len(told) == len(killed)
    for entry in killed:
        (line,) = [line for line in told if f"seed={entry.planned.number}:" in line]
        assert line.startswith("error: ")
        assert line.endswith("its process was ended by SIGKILL; perhaps memory was short")
        assert sweep.status(f"{entry.planned.number:04d}") in ("KILLED", "FINISHED", "")  # it may have been evaluated


def test_workers_are_killed(project: Project, commands: WarmCommands, few: Swept, trials: Trials) -> None:
    """The seeds of the jobs are their numbers. Each job writes a checkpoint after every step, and continues there."""
    total = 0
    promise = "sweeps with five workers killed: the others undisturbed, each told once, continued to the same table"
    for number, rng in enumerate(trials(promise, 10)):
        own, steps = new_place(project, str(number)), project / str(number) / "steps"
        steps.mkdir()
        environment = {"STEPS": str(steps), "STEP_SECONDS": "0.03", "CHECKPOINTS": "1"}
        command, sweep = commands.start(own.root, *FEW, **environment), wait_for_sweep(own)
        for seed in sorted(rng.sample(range(NUM_FEW), NUM_KILLS)):
            kill_worker(sweep, seed, rng.randrange(9), steps)
        code, entries = command.wait(), sweep.entries
        killed = {entry.planned.number: entry for entry in entries if entry.state == "KILLED"}
        assert code == (1 if killed else 0)
        assert {entry.state for entry in entries if entry.planned.number not in killed} == {"FINISHED"}
        assert_told(command, sweep, [*killed.values()])
        assert_nothing_runs(own)
        done = {job: sweep.files(job) for job in range(NUM_FEW) if job not in killed}
        before = {job: steps_in(steps / str(job)) for job in killed}
        commands.run(own.root, *FEW, **environment)
        assert {job: sweep.files(job) for job in done} == done
        for job, taken in before.items():
            again = steps_in(steps / str(job))[len(taken) :]
            assert taken + again in ([*range(8)], [*taken, *range(max(0, len(taken) - 1), 8)])  # or the last step again
        assert (sweep.table, sweep.weights()) == (few.table, few.weights())
        assert [entry.attempts for entry in sweep.entries] == [1 + (job in killed) for job in range(NUM_FEW)]
        assert_nothing_runs(own)
        total += len(killed)
    assert total >= 0.6 * NUM_KILLS * trials.count(10)  # few kills come too late


def test_the_fork_server_is_killed(project: Project, commands: WarmCommands, few: Swept, trials: Trials) -> None:
    """What runs goes on, and another fork server starts the rest."""
    for number, rng in enumerate(trials("sweeps whose fork server is killed: every job finishes, the same table", 10)):
        own = new_place(project, str(number))
        command, sweep = commands.start(own.root, *FEW, STEP_SECONDS="0.05"), wait_for_sweep(own)
        job = rng.randrange(NUM_FEW)
        wait_for(lambda: sweep.count("started") > job, f"the start of job {job}")  # noqa: B023
        time.sleep(rng.random() * 0.4)
        process = sweep.entries[job].process
        assert process is not None
        with suppress(OSError):  # the job has ended
            os.kill(int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
        assert command.wait() == 0, command.errors
        assert command.errors == ""
        assert (sweep.table, sweep.weights()) == (few.table, few.weights())
        assert_nothing_runs(own)
