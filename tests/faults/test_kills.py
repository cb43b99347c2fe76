"""A training killed at random moments and resumed ends with the same bits as an undisturbed one."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from killed_training import BATCHES, signal_after_steps, start
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from piecewise.training import checkpoint_files
from piecewise.training.checkpoints import load_checkpoint
from trials import Trials

Plan = Callable[..., list[Job]]
# The job has every kind of state: order, masks, schedule, momentum, running statistics, early stopping (which ends it).
OPTIONS = [
    *("data.num_train=60", "data.num_test=20", "batch_size=10", "trainer.max_epochs=12", "log_every_n_steps=1"),
    *("model=mlp", "model.width=12", "model.dropout=0.3", "model.norm=batch", "optimizer=momentum", "optimizer.lr=0.2"),
    *("scheduler=onecycle", "early_stopping.patience=3", "tracking=none"),
]
MAX_KILLS = 3  # of one training


def outcome(folder: RunFolder) -> dict[str, Any]:
    record = read_journal(folder.journal)
    assert record is not None
    return {"history": record.history(), "path": folder.parameter_path.read_bytes(), **read_result(folder)}


def epochs_of(folder: RunFolder) -> list[list[int]]:
    """The examples of each epoch, in order. A batch that was repeated after a kill must have the same examples."""
    batches: dict[tuple[int, int], list[int]] = {}
    for line in (folder.journal.parent / BATCHES).read_text().splitlines():
        epoch, number, *rows = map(int, line.split())
        assert batches.setdefault((epoch, number), rows) == rows
    last = max(epoch for epoch, _ in batches)
    return [
        [row for key in sorted(batches) if key[0] == epoch for row in batches[key]]  # ordered by the batches' numbers
        for epoch in range(last + 1)
    ]


def steps_before_batches(folder: RunFolder) -> list[int]:
    """For each batch that any process trained on, in order, the number of steps before it."""
    path = folder.journal.parent / BATCHES
    lines = path.read_text().splitlines() if path.is_file() else []
    return [6 * int(epoch) + int(number) for epoch, number, *_ in map(str.split, lines)]


def resume(job: Job, folder: RunFolder) -> None:
    """Resume to the end. Asserts that it starts at the newest checkpoint: a restart would end with the same bits."""
    newest, before = checkpoint_files.newest(folder.checkpoints), steps_before_batches(folder)
    process = start(job, folder, is_resumed=True)
    process.join()
    assert process.exitcode == 0
    first = int(newest.stem) if newest is not None else 0
    taken = steps_before_batches(folder)[len(before) :]
    assert taken == list(range(first, first + len(taken)))


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(plan: Plan, project: Project, trials: Trials) -> None:
    (job,) = plan(*OPTIONS)
    undisturbed = RunFolder.at(project / "undisturbed")
    start(job, undisturbed, is_resumed=False).join()
    expected = outcome(undisturbed)
    killed = 0
    for number, rng in enumerate(trials("trainings killed up to three times, resumed to the same bits", 200)):
        folder = RunFolder.at(project / "runs" / str(number))
        for attempt in range(rng.randrange(1, MAX_KILLS + 1)):
            process = start(job, folder, is_resumed=attempt > 0)
            signal_after_steps(process, folder, rng, most=expected["steps"] // 2)
            killed += process.exitcode != 0
            if process.exitcode == 0:
                break
        resume(job, folder)
        assert outcome(folder) == expected
        epochs = epochs_of(folder)
        assert [sorted(epoch) for epoch in epochs] == [list(range(54))] * expected["epochs"]
        assert expected["steps"] == 6 * expected["epochs"]
    assert killed >= 0.8 * trials.count(200)  # few kills come too late


@pytest.mark.slow
def test_terminated_during_checkpoints_and_resumed_equals_undisturbed(
    plan: Plan, project: Project, trials: Trials
) -> None:
    """SIGTERM gives exit code 143, status KILLED and a checkpoint of the last step."""
    (job,) = plan(*OPTIONS)
    undisturbed = RunFolder.at(project / "undisturbed")
    start(job, undisturbed, is_resumed=False).join()
    expected = outcome(undisturbed)
    for number, rng in enumerate(trials("SIGTERM while checkpoints are written: 143, KILLED, the same bits", 100)):
        folder = RunFolder.at(project / "runs" / str(number))
        process = start(job, folder, is_resumed=False)
        signal_after_steps(process, folder, rng, most=expected["steps"] // 2, number=signal.SIGTERM)
        assert process.exitcode == 143
        record = read_journal(folder.journal)
        assert record is not None
        assert record.end is not None
        assert record.end.status == "KILLED"
        newest = checkpoint_files.newest(folder.checkpoints)
        assert newest is not None
        assert load_checkpoint(newest)["global_step"] == record.history()["train/nll"][-1][0]
        resume(job, folder)
        assert outcome(folder) == expected
