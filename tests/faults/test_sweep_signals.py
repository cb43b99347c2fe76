"""Ctrl-C and SIGTERM during a sweep: its jobs write checkpoints, and the same command ends with the same table."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest

from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.training import checkpoint_files
from running_server import wait_for
from swept import SWEEP, Swept, assert_nothing_runs, new_place, seeds, steps_in, sweeps, the_sweep, wait_for_sweep
from time_limits import assert_within
from trials import Trials
from warm_commands import WarmCommands

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NUM_JOBS = 6
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
STOPPING = "stopping after this step; once more stops at once"


def steps_of(place: Project, job: int) -> list[int]:
    """The steps that a job has begun; its seed is its number."""
    return steps_in(place / "steps" / str(job))


def environment(place: Project, step_seconds: float) -> dict[str, str]:
    (place / "steps").mkdir(exist_ok=True)
    return {"STEPS": str(place / "steps"), "STEP_SECONDS": str(step_seconds)}


def assert_nothing_twice(text: str) -> None:
    lines = Counter(line for line in text.splitlines() if line.strip())
    assert [line for line, count in lines.items() if count > 1] == []


def assert_stopped(place: Project, sweep: Swept) -> None:
    """What ran has ended as KILLED with a checkpoint of its last step; what came after was not started.

    The journal of a job that was stopped while it was evaluated says that its training has finished.
    """
    for job, entry in enumerate(sweep.entries):
        if entry.started is None:
            assert entry.state is None
            assert not sweep.folder(job).exists()
        elif entry.state != "FINISHED":
            assert entry.state == "KILLED"
            steps, newest = steps_of(place, job), checkpoint_files.newest(RunFolder.at(sweep.folder(job)).checkpoints)
            assert sweep.status(f"{job:04d}") == "KILLED" or len(steps) == 8
            assert steps == [*range(int(newest.stem) if newest is not None else 0)]


def test_a_signal_stops_a_sweep_and_the_same_command_goes_on(
    project: Project, commands: WarmCommands, trials: Trials
) -> None:
    """A terminal sends SIGINT to the process group of the command, which its jobs are not in."""
    words = [*SWEEP, seeds(range(NUM_JOBS))]
    commands.run(new_place(project, "undisturbed").root, *words)
    undisturbed, promise = the_sweep(Project(project / "undisturbed")), "Ctrl-C and SIGTERM"
    for number, rng in enumerate(trials(f"{promise} during sweeps: checkpoints, 130 or 143, the same table", 20)):
        place, executor = new_place(project, str(number)), ["pool", "inline"][number % 2]
        asked, settings = [*words, f"executor={executor}"], environment(place, 0.1)
        command, stop = commands.start(place.root, *asked, **settings), rng.choice([*CODES])
        # Not one of the last two jobs, which may run at the same time: the sweep must not end before the signal.
        sweep, job, step = wait_for_sweep(place), rng.randrange(NUM_JOBS - 2), rng.randrange(8)
        wait_for(lambda: len(steps_of(place, job)) > step, f"step {step} of job {job}")  # noqa: B023
        time.sleep(rng.random() * 0.2)
        (os.killpg if stop == signal.SIGINT else os.kill)(command.pid, stop)
        assert command.wait(30) == CODES[stop], command.errors
        assert command.errors.count(STOPPING) == 1 or (executor == "inline" and STOPPING not in command.errors)
        told = [line for line in command.errors.splitlines() if line not in ("", STOPPING)]
        assert told == [f"error: stopped by {signal.Signals(stop).name}"]
        assert command.output.splitlines()[-1] == f"piecewise resume {sweep.root.name[:22]}  continues from here"
        assert_nothing_twice(command.output + command.errors)
        assert_nothing_runs(place, 10)
        assert_stopped(place, sweep)
        assert sweep.status() == "KILLED"
        commands.run(place.root, *asked, **settings)
        assert sweeps(place) == [sweep.root]
        assert (sweep.table, sweep.weights()) == (undisturbed.table, undisturbed.weights())
        assert [steps_of(place, job) for job in range(NUM_JOBS)] == [[*range(8)]] * NUM_JOBS  # none was repeated
        assert_nothing_runs(place)


def test_a_second_signal_stops_a_sweep_at_once(project: Project, commands: WarmCommands) -> None:
    words = [*SWEEP, seeds(range(3)), "executor=pool"]
    command = commands.start(project.root, *words, **environment(project, 100))
    wait_for(lambda: steps_of(project, 0), "a step")
    os.killpg(command.pid, signal.SIGINT)
    wait_for(lambda: STOPPING in command.errors, "the first signal's answer")
    asked = time.monotonic()
    os.killpg(command.pid, signal.SIGINT)
    assert command.wait(100) == 130
    assert_nothing_runs(project)
    assert_within(10, time.monotonic() - asked)
    assert_nothing_twice(command.output + command.errors)
    assert set(the_sweep(project).states) <= {"KILLED", None}
    command = commands.run(project.root, *words)
    assert the_sweep(project).states == ["FINISHED"] * 3
    assert the_sweep(project).table
