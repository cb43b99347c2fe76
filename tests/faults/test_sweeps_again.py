"""The same sweep given again, grown, changed, or twice at a time: it trains only what is new, and never mixes."""

from __future__ import annotations

import pytest

from piecewise.execution.ledger import REUSED
from piecewise.project import Project
from running_server import wait_for
from swept import SWEEP, Swept, assert_nothing_runs, new_place, seeds, sweeps, the_sweep, wait_for_sweep
from trials import Trials
from warm_commands import WarmCommands

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_only_what_is_new_is_trained(project: Project, commands: WarmCommands) -> None:
    """A finished sweep trains nothing, one that grew what it lacks. A run that was trained alone counts too."""
    commands.run(project.root, *SWEEP, seeds([0, 1]))
    small = the_sweep(project)
    before = [small.files(job) for job in range(2)]
    command = commands.run(project.root, *SWEEP, seeds([0, 1]))
    assert "nothing is left to train" in command.output
    assert f"runs/{small.root.name}/results.csv" in command.output
    assert command.errors == ""
    commands.run(project.root, "train", *SWEEP[2:], "seed=3")
    command = commands.run(project.root, *SWEEP, seeds(range(4)))
    assert "3 of 4 jobs are done already" in command.output
    grown = Swept(sweeps(project)[1])
    assert grown.states == [REUSED, REUSED, "FINISHED", REUSED]
    assert [path.name for path in grown.root.glob("[0-9]*")] == ["0002"]
    assert [small.files(job) for job in range(2)] == before
    commands.run(new_place(project, "whole").root, *SWEEP, seeds(range(4)))
    assert grown.table == the_sweep(Project(project / "whole")).table


def test_a_sweep_with_another_lock_is_a_new_one_and_says_so(project: Project, commands: WarmCommands) -> None:
    words = [*SWEEP, "executor=inline", seeds(range(2)), "on_error=stop"]
    commands.run(project.root, *words, code=1, FAULTS='{"0": "raise"}')
    first = the_sweep(project)
    path = project / "requirements.lock"
    path.write_text(f"{path.read_text()}\nanother==1.0\n")
    command = commands.run(project.root, *words)
    assert len(sweeps(project)) == 2
    (line,) = command.errors.splitlines()
    assert line.startswith(f"warning: the unfinished sweep {first.root.name[:22]} has these jobs too, but source, ")
    assert f"piecewise resume {first.root.name[:22]} goes on with that one" in line
    assert Swept(sweeps(project)[1]).states == ["FINISHED"] * 2
    assert first.states == ["FAILED", None]


def test_a_sweep_that_runs_is_refused(project: Project, commands: WarmCommands) -> None:
    words = [*SWEEP, "executor=pool", seeds(range(3))]
    running = commands.start(project.root, *words, STEP_SECONDS="0.5")
    sweep = wait_for_sweep(project)
    wait_for(lambda: sweep.count("started"), "a job")
    for again in (words, ["resume", sweep.root.name]):
        command = commands.run(project.root, *again, code=75)
        assert f"process {running.pid}" in command.errors
        assert len(command.errors.splitlines()) == 1
    assert running.wait() == 0, running.errors
    assert sweep.states == ["FINISHED"] * 3
    assert [entry.attempts for entry in sweep.entries] == [1] * 3


def test_two_sweeps_at_once_do_not_mix(project: Project, commands: WarmCommands, trials: Trials) -> None:
    """They share a job, or in every second trial all; then they are one sweep."""
    words = [*SWEEP, "executor=pool", "executor.slots=1"]
    commands.run(new_place(project, "undisturbed").root, *words, seeds(range(4)))
    expected = the_sweep(Project(project / "undisturbed")).weights()
    for number, rng in enumerate(trials("pairs of sweeps started at once: whole, and one if the same", 10)):
        place, start = new_place(project, str(number)), 0 if number % 2 else rng.randrange(1, 3)
        asked = [[0, 1], [start, start + 1]]
        pair = [commands.start(place.root, *words, seeds(numbers)) for numbers in asked]
        codes = [command.wait() for command in pair]
        assert codes in ([0, 0], *([[0, 75], [75, 0]] if start == 0 else [])), [command.errors for command in pair]
        found = [Swept(root) for root in sweeps(place)]
        assert len(found) == (2 if start else 1)
        assert start or 75 in codes or "nothing is left to train" in "".join(one.output for one in pair)
        for sweep in found:
            numbers = [int(entry.planned.title.rpartition("seed=")[2]) for entry in sweep.entries]
            own = [job for job, state in enumerate(sweep.states) if state == "FINISHED"]
            assert set(sweep.states) <= {"FINISHED", REUSED}
            assert [sweep.weights()[job] for job in own] == [expected[numbers[job]] for job in own]
        assert_nothing_runs(place)
