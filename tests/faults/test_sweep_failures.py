"""One job in six of a sweep fails: the others have the bits of an undisturbed sweep, and each failure is told once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from piecewise.project import Project
from swept import SWEEP, Swept, assert_nothing_runs, new_place, seeds, sweeps, the_sweep
from trials import Trials
from warm_commands import WarmCommands

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NUM_JOBS = 12
TIMEOUT = 10  # seconds without a record after which a job counts as hanging
# How a job fails, its state in the ledger, and what the user is told.
WAYS = {
    "raise": ("FAILED", "RuntimeError: injected"),
    "sys.exit": ("FAILED", "it called sys.exit(5)"),
    "os._exit": ("FAILED", "its process exited with code 7 before the job had ended"),
    "SIGKILL": ("KILLED", "its process was ended by SIGKILL; perhaps memory was short"),
    "SIGSEGV": ("FAILED", "its process was ended by SIGSEGV"),
    "memory": ("FAILED", "MemoryError"),
    "memory of torch": ("FAILED", "can't allocate memory: you tried to allocate 1152921504606846976 bytes"),
    "non-finite": ("FAILED", "the loss is nan at step 4 (epoch 0, batch 3); first that is not finite: the loss itself"),
    "hang": ("FAILED", f"it recorded nothing for {TIMEOUT} s and was ended; if it was not hanging, executor.timeout="),
}


def assert_told_once(errors: str, faults: Mapping[int, str]) -> None:
    """Each failed job has one line with its overrides and the reason; there is no other line."""
    lines = errors.splitlines()
    assert len(lines) == len(faults), errors
    for seed, way in faults.items():
        (line,) = [line for line in lines if re.search(rf"\bseed={seed}\b", line)]
        assert line.startswith("error: curve_1d-shallow trainer.max_epochs=2,data.num_train=40,"), line
        assert WAYS[way][1] in line


def test_one_job_in_six_fails(project: Project, commands: WarmCommands, trials: Trials) -> None:
    """The seeds of the jobs are their numbers. Two fail in ways that take turns; retry=1 runs only these again."""
    words = [*SWEEP, "executor=pool", f"executor.timeout={TIMEOUT}", seeds(range(NUM_JOBS))]
    commands.run(new_place(project, "undisturbed").root, *words)
    undisturbed, names = the_sweep(Project(project / "undisturbed")), list(WAYS)
    promise = "sweeps with one failed job in six, in nine ways: the others' bits, each told once, retry=1 mends"
    for number, rng in enumerate(trials(promise, 9)):
        own, ways = new_place(project, str(number)), [names[(2 * number + turn) % len(names)] for turn in (0, 1)]
        faults = dict(zip(rng.sample(range(NUM_JOBS), 2), ways, strict=True))
        command = commands.run(own.root, *words, code=1, FAULTS=json.dumps(faults))
        sweep, expected = the_sweep(own), undisturbed.weights()
        assert_told_once(command.errors, faults)
        states = [WAYS[faults[job]][0] if job in faults else "FINISHED" for job in range(NUM_JOBS)]
        assert [entry.state for entry in sweep.entries] == sweep.states == states
        assert sweep.weights() == ["" if job in faults else digest for job, digest in enumerate(expected)]
        assert sweep.status() == "FAILED"
        assert_nothing_runs(own)
        done = {job: sweep.files(job) for job in range(NUM_JOBS) if job not in faults}
        commands.run(own.root, *words, "retry=1")
        assert {job: sweep.files(job) for job in done} == done
        assert [entry.attempts for entry in sweep.entries] == [1 + (job in faults) for job in range(NUM_JOBS)]
        assert (sweep.weights(), sweep.table) == (expected, undisturbed.table)
        assert_nothing_runs(own)


def test_on_error_says_how_many_may_fail(project: Project, commands: WarmCommands) -> None:
    """One job at a time; every job fails. What was not started is started by the same command, what failed is not."""
    num_failed = 2
    words = [*SWEEP, "executor=pool", "executor.slots=1", f"on_error=stop_after:{num_failed}", seeds(range(4))]
    faults = dict.fromkeys(range(4), "raise")
    command = commands.run(project.root, *words, code=1, FAULTS=json.dumps(faults))
    sweep = the_sweep(project)
    assert sweep.states == ["FAILED"] * num_failed + [None] * (4 - num_failed)
    assert_told_once(command.errors, dict.fromkeys(range(num_failed), "raise"))
    assert f"{num_failed} failed: the same command with retry=1 runs them again" in command.output
    command = commands.run(project.root, *words, code=1)
    assert sweep.states == ["FAILED"] * num_failed + ["FINISHED"] * (4 - num_failed)
    assert command.errors == ""
    failed = [line for line in command.output.splitlines() if line.startswith("failed") or "seed=1:" in line]
    assert len(failed) == num_failed  # they still are, and the end says so


def test_fresh_trains_all_jobs_anew(project: Project, commands: WarmCommands) -> None:
    words = [*SWEEP, seeds(range(2))]
    commands.run(project.root, *words, code=1, FAULTS='{"1": "raise"}')
    first, before = the_sweep(project), the_sweep(project).files(0)
    commands.run(project.root, *words, "fresh=1")
    second = Swept(sweeps(project)[-1])
    assert len(sweeps(project)) == 2
    assert first.files(0) == before
    assert (first.states, second.states) == (["FINISHED", "FAILED"], ["FINISHED"] * 2)
    assert second.weights()[0] == first.weights()[0]
    assert {entry.planned.run_id for entry in first.entries}.isdisjoint(second.start(job).id for job in range(2))
