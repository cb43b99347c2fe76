"""Batches must suit the ranks and batch norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.data.idx import FILES
from piecewise.errors import BadInput
from piecewise.jobs.config import TrainerConfig
from piecewise.jobs.job import Job

Plan = Callable[..., list[Job]]
SMALL = ("data.num_train=47", "data.num_test=20")  # 42 to train on


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("batch_size=9", "trainer=ddp_cpu"),
            r"batch_size=9 cannot be cut into equal shares for 2 processes .*multiple of 2",
        ),
        (
            ("batch_size=10", "trainer=ddp_cpu", "trainer.devices=3"),
            "batch_size=10 cannot be cut into equal shares for 3 processes",
        ),
        (("batch_size=10", "+trainer.num_nodes=3"), "for 3 processes"),
        (
            ("batch_size=1", "model=mlp", "model.norm=batch"),
            "the last batch has 1 for 1 process; batch norm needs at least 2",
        ),
        (("batch_size=41", "model=residual", "model.norm=batch"), "the last batch has 1 for 1 process;"),
        (
            ("batch_size=39", "model=mlp", "model.norm=batch", "trainer=ddp_cpu", "trainer.devices=3"),
            "has 3 for 3 processes",
        ),
        (("batch_size=43",), "must be a whole number from 1 to the 42 training examples, or all"),
        (("batch_size=0",), "must be a whole number from 1"),
    ],
)
def test_batches_that_do_not_fit_are_refused(plan: Plan, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan(*SMALL, *options)


@pytest.mark.parametrize(
    "options",
    [
        ("batch_size=9", "trainer=ddp_cpu", "trainer.devices=3"),
        ("batch_size=all", "trainer=ddp_cpu"),
        ("batch_size=40", "model=mlp", "model.norm=batch"),
        ("batch_size=1", "model=mlp", "model.norm=layer"),
    ],
)
def test_batches_that_fit_are_accepted(plan: Plan, options: tuple[str, ...]) -> None:
    assert len(plan(*SMALL, *options)) == 1


@pytest.mark.parametrize(
    ("devices", "nodes", "count"), [(1, 1, 1), (2, 3, 6), (-1, 1, 1), ("auto", 2, 1), (None, 1, 1)]
)
def test_a_number_of_ranks_that_depends_on_the_machine_is_planned_as_one(
    devices: object, nodes: int, count: int
) -> None:
    assert TrainerConfig("trainer", None, {"devices": devices, "num_nodes": nodes}).planned_ranks == count


@pytest.mark.parametrize(("side", "is_refused"), [(8, True), (16, False)])
def test_one_image_suffices_for_batch_norm_if_a_channel_has_several_values(
    plan: Plan, tmp_path: Path, side: int, is_refused: bool
) -> None:
    """Three halvings leave one value of an image of 8 × 8 pixels for each channel, and four of one of 16 × 16."""
    for part, count in (("train", 10), ("test", 4)):  # 9 to train on
        for name, shape in zip(FILES[part], ((count, side, side), (count,)), strict=True):
            numbers = b"".join(length.to_bytes(4, "big") for length in shape)
            content = bytes(index % 3 for index in range(math.prod(shape)))
            (tmp_path / name).write_bytes(bytes([0, 0, 8, len(shape)]) + numbers + content)
    words = ["data=idx", f"data.path={tmp_path}", "model=cnn", "loss=categorical", "batch_size=4"]
    if is_refused:
        with pytest.raises(BadInput, match="the last batch has 1 for 1 process; batch norm needs at least 2 in each"):
            plan(*words)
    else:
        assert len(plan(*words)) == 1
