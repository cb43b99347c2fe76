"""How long a training is: computed once, before it, and equal to what Lightning does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from piecewise.data.resident import CHUNK_SIZE
from piecewise.errors import BadInput
from piecewise.execution.train import train
from piecewise.jobs.build import build_parts
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from piecewise.training.length import Length
from small_project import TINY

Plan = Callable[..., list[Job]]


def length(num_train: int = 42, num_val: int = 3500, batch_size: int = 10, **options: Any) -> Length:
    return Length.of(num_train, num_val, batch_size, {"max_epochs": 2, **options})


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ([], 2 * 4),
        (["trainer.limit_train_batches=3"], 2 * 3),
        (["trainer.limit_train_batches=0.5"], 2 * 2),
        (["trainer.accumulate_grad_batches=3"], 2 * 2),
        (["+trainer.max_steps=3"], 3),
        (["batch_size=all"], 2),
        (["batch_size=7"], 2 * 6),
        (["trainer.overfit_batches=1"], 2),
        (["trainer.overfit_batches=1.0"], 2 * 4),  # a share: all batches
        (["trainer.overfit_batches=0.5"], 2 * 2),
        (["trainer.overfit_batches=0.5", "trainer.limit_train_batches=1"], 2),
    ],
)
def test_training_takes_the_planned_steps(plan: Plan, project: Project, options: list[str], steps: int) -> None:
    (job,) = plan(*TINY, *options)
    assert build_parts(job.config).length.steps == steps
    folder = RunFolder.at(project / "one")
    train(job, folder)
    assert read_result(folder)["steps"] == read_result(folder)["steps_planned"] == steps


@pytest.mark.parametrize(
    ("limit", "batches"),
    [(None, 5), (1.0, 5), (5, 5), (9, 5), (4, 4), (1, 1), (0.8, 4), (0.79, 3), (0.2, 1)],
)
def test_a_limit_is_a_number_or_a_share_rounded_down(limit: float | None, batches: int) -> None:
    assert length(limit_train_batches=limit).num_batches == batches
    assert length(overfit_batches=limit).num_batches == batches
    assert length(overfit_batches=limit).num_train == min(42, 10 * batches)


@pytest.mark.parametrize("hundredths", range(1, 101))
def test_a_share_is_the_decimal_number_that_was_typed(hundredths: int) -> None:
    """In floating point, 0.29 of 100 batches is 28.999…, which rounds down to 28."""
    assert length(num_train=1000, limit_train_batches=float(f"{hundredths / 100:.2f}")).num_batches == hundredths


@pytest.mark.parametrize("limit", [0.1, 0.01])
@pytest.mark.parametrize("key", ["limit_train_batches", "overfit_batches", "limit_val_batches"])
def test_a_limit_that_leaves_nothing_is_refused(key: str, limit: float) -> None:
    with pytest.raises(BadInput, match=rf"trainer\.{key}={limit} leaves nothing of [45] batches"):
        length(**{key: limit})


@pytest.mark.parametrize(("limit", "kept"), [(1.0, 3500), (4, 3500), (9, 3500), (3, 3000), (1, 1000), (0.5, 2000)])
def test_validation_is_limited_to_whole_chunks_on_all_ranks_together(limit: float, kept: int) -> None:
    assert CHUNK_SIZE == 1000
    assert length(limit_val_batches=limit).num_val == kept


def test_overfitting_limits_no_validation() -> None:
    assert length(overfit_batches=1).num_val == 3500


@pytest.mark.parametrize(
    ("options", "steps", "epochs", "batches"),
    [
        ({}, 10, 2, 10),
        ({"accumulate_grad_batches": 2}, 6, 2, 10),  # an epoch's steps have 2, 2 and 1 batches
        ({"max_steps": 5}, 5, 1, 5),
        ({"max_steps": 6}, 6, 2, 6),
        ({"max_steps": 60}, 10, 2, 10),
        ({"max_steps": -1}, 10, 2, 10),
        ({"max_steps": 4, "accumulate_grad_batches": 2}, 4, 2, 7),
        ({"max_steps": 1, "accumulate_grad_batches": 9}, 1, 1, 5),
    ],
)
def test_steps_end_a_training_within_an_epoch(options: dict[str, Any], steps: int, epochs: int, batches: int) -> None:
    found = length(**options)
    assert (found.steps, found.epochs, found.batches) == (steps, epochs, batches)


@pytest.mark.parametrize(
    ("options", "size"),
    [({}, 2), ({"limit_train_batches": 4}, 10), ({"overfit_batches": 4}, 10), ({"overfit_batches": 5}, 2)],
)
def test_the_smallest_batch_is_the_last_one_that_is_taken(options: dict[str, Any], size: int) -> None:
    assert length(**options).smallest_batch == size


def test_a_short_batch_that_no_epoch_reaches_is_no_reason_to_refuse_batch_norm(plan: Plan) -> None:
    normed = ["data.num_train=47", "batch_size=41", "model=mlp", "model.norm=batch"]  # 42 to train on
    with pytest.raises(BadInput, match="the last batch has 1 for 1 process"):
        plan(*TINY, *normed)
    for limit in ("trainer.limit_train_batches=1", "trainer.overfit_batches=1"):
        assert len(plan(*TINY, *normed, limit)) == 1


@pytest.mark.parametrize(
    ("options", "validated"),
    [
        (["trainer.check_val_every_n_epoch=2"], [8, 16, 20]),  # epochs of four steps
        (["trainer.check_val_every_n_epoch=9"], [20]),
        (["trainer.check_val_every_n_epoch=2", "+trainer.max_steps=12"], [8, 12]),
        (["trainer.check_val_every_n_epoch=2", "+trainer.max_steps=13"], [8, 13]),  # in the middle of an epoch
        (["trainer.check_val_every_n_epoch=null", "+trainer.max_steps=6"], [4, 6]),
        (["+trainer.max_steps=3"], [3]),
        (["trainer.accumulate_grad_batches=3", "+trainer.max_steps=3"], [2, 3]),
    ],
)
def test_every_nth_epoch_and_the_last_step_are_validated(
    plan: Plan, project: Project, options: list[str], validated: list[int]
) -> None:
    folder = RunFolder.at(project / "one")
    train(plan(*TINY, "trainer.max_epochs=5", *options)[0], folder)
    record = read_journal(folder.journal)
    assert record is not None
    assert [step for step, _ in record.history()["val/nll"]] == validated
