"""A sweep whose jobs have two ranks each: as solo runs, and a killed rank or worker costs its own job only."""

from __future__ import annotations

import json
import os
import signal
from random import Random

import pytest

from piecewise.project import Project
from running_server import wait_for
from swept import SWEEP, assert_nothing_runs, new_place, seeds, steps_in, the_sweep, wait_for_sweep
from trials import Trials
from warm_commands import WarmCommands

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
STOPPING = "stopping after this step; once more stops at once"
RANKS = ["trainer=ddp_cpu", "trainer.devices=2"]


def test_a_sweep_of_ranks_is_as_solo_runs(project: Project, commands: WarmCommands, trials: Trials) -> None:
    """A rank of the first job is killed, or the worker that waits for its ranks."""
    solo = train_alone(project, commands, 0)
    promise = "sweeps of jobs with two ranks, a rank or worker killed: the other undisturbed, continued, as solo runs"
    for number, rng in enumerate(trials(promise, 6)):
        place = new_place(project, str(number))
        executor, kill = [("pool", kill_rank), ("inline", kill_rank), ("pool", kill_worker)][number % 3]
        words = [*SWEEP, *RANKS, f"executor={executor}", seeds(range(2))]
        kill(place, commands, words, rng)
        sweep = the_sweep(place)
        assert sweep.weights()[0] == ""
        other = sweep.files(1)
        assert_nothing_runs(place)
        commands.run(place.root, *words, "retry=1", STEPS=str(place.root))
        assert sweep.states == ["FINISHED"] * 2
        assert [entry.attempts for entry in sweep.entries] == [2, 1]
        assert (sweep.weights()[0], sweep.entries[0].planned.run_key) == solo
        assert sweep.files(1) == other
        if kill is kill_worker:  # its ranks have written a checkpoint: no step was repeated
            assert sorted(steps_in(place / "0")) == sorted([*range(8), *range(8)])
        assert_nothing_runs(place)


def test_ctrl_c_is_answered_once_and_not_by_each_rank(project: Project, commands: WarmCommands) -> None:
    endless = "trainer.max_epochs=1000"  # the first job must not end before the second has begun
    words = [*SWEEP, *RANKS, endless, "executor=pool", "executor.slots=4", seeds(range(2))]
    command = commands.start(project.root, *words, STEPS=str(project.root), STEP_SECONDS="0.3")
    wait_for(lambda: all(steps_in(project / name) for name in ("0", "1")), "a step of each job")
    os.killpg(command.pid, signal.SIGINT)
    assert command.wait() == 130
    assert command.errors.split("\n") == ["", STOPPING, "error: stopped by SIGINT", ""]
    assert the_sweep(project).states == ["KILLED"] * 2
    assert_nothing_runs(project)


def train_alone(project: Project, commands: WarmCommands, seed: int) -> tuple[str, str]:
    """The digest of the weights and the run key of a run that is no sweep's."""
    commands.run(project.root, *SWEEP[:1], *SWEEP[2:], *RANKS, f"seed={seed}")
    path = max(project.runs.glob("*/training/result.json"), key=lambda path: path.stat().st_mtime_ns)
    result = json.loads(path.read_text())
    return result["weights_digest"], result["run_key"]


def kill_rank(place: Project, commands: WarmCommands, words: list[str], rng: Random) -> None:
    """Run the sweep; the last rank of the first job is killed in its fourth step."""
    command = commands.run(place.root, *words, code=1, FAULTS='{"0": "SIGKILL"}')
    sweep = the_sweep(place)
    assert sweep.states == ["FAILED", "FINISHED"]
    (line,) = [line for line in command.errors.splitlines() if line.startswith("error: curve_1d-shallow")]
    assert "seed=0: training failed with exit code 75; the messages of its ranks are above" in line
    journal = (sweep.folder(0) / "journal.jsonl").read_text()
    assert journal.count("rank 1 was ended by SIGKILL") == 1, command.errors


def kill_worker(place: Project, commands: WarmCommands, words: list[str], rng: Random) -> None:
    """Run the sweep; the process that waits for the ranks of the first job is killed."""
    command = commands.start(place.root, *words, STEPS=str(place.root), STEP_SECONDS="0.3")
    sweep, taken = wait_for_sweep(place), 2 * rng.randrange(1, 7)
    wait_for(lambda: len(steps_in(place / "0")) >= taken, f"{taken} steps")
    process = sweep.entries[0].process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert command.wait() == 1
    assert sweep.states == ["KILLED", "FINISHED"]
