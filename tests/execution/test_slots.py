"""The slots of a machine: which threads and GPUs they have, and which of them a job takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from piecewise.errors import BadInput
from piecewise.execution.executors.pool import Pool
from piecewise.execution.executors.slots import Slot, make_slots, take, visible_gpus
from piecewise.jobs.config import TrainerConfig


def trainer(**options: Any) -> TrainerConfig:
    return TrainerConfig("trainer", "pytorch_lightning.Trainer", {"accelerator": "gpu", **options})


def numbers(slots: Sequence[Slot] | None) -> list[int] | None:
    return None if slots is None else [slot.number for slot in slots]


@pytest.mark.parametrize(
    ("count", "gpus", "fraction", "cores", "threads", "names"),
    [
        (None, [], 1.0, 2, [1, 1], [None, None]),
        (None, [], 1.0, 1, [1], [None]),
        (1, [], 1.0, 8, [8], [None]),
        (3, [], 1.0, 8, [2, 2, 2], [None, None, None]),
        (3, [], 1.0, 2, [1, 1, 1], [None, None, None]),
        (None, ["0", "1"], 1.0, 8, [4, 4], ["0", "1"]),
        (None, ["0", "1"], 0.5, 8, [2, 2, 2, 2], ["0", "1", "0", "1"]),
        (None, ["0"], 0.4, 8, [4, 4], ["0", "0"]),
        (3, ["4", "7"], 1.0, 8, [2, 2, 2], ["4", "7", "4"]),
        (1, ["4", "7"], 1.0, 8, [8], ["4"]),
    ],
)
def test_slots_share_the_cores_and_take_turns_with_the_gpus(
    count: int | None, gpus: list[str], fraction: float, cores: int, threads: list[int], names: list[str | None]
) -> None:
    slots = make_slots(count, gpus, fraction, cores)
    assert numbers(slots) == list(range(len(slots)))
    assert [slot.threads for slot in slots] == threads
    assert [slot.gpu for slot in slots] == names


@pytest.mark.parametrize(
    ("options", "free", "expected"),
    [
        ({"devices": 1}, [0, 1, 2, 3], [0]),
        ({"devices": 1}, [3], [3]),
        ({"devices": 1}, [], None),
        ({"devices": 2, "strategy": "ddp"}, [0, 1, 2, 3], [0, 1]),
        ({"devices": 2, "strategy": "ddp"}, [0, 2], None),  # two slots of the same GPU
        ({"devices": 2, "strategy": "ddp"}, [0, 2, 3], [0, 3]),
        ({"devices": 4, "strategy": "ddp"}, [0, 1, 2], [0, 1]),  # more than there is: every GPU
        ({"devices": 4, "strategy": "ddp"}, [0, 2], None),
        ({"devices": -1, "strategy": "ddp"}, [1, 2], [1, 2]),
        ({"devices": "auto"}, [0, 2], None),
        ({"devices": "auto"}, [0, 1], [0, 1]),
    ],
)
def test_ranks_take_slots_of_different_gpus(
    options: dict[str, Any], free: list[int], expected: list[int] | None
) -> None:
    """Two GPUs with two slots each: slots 0 and 2 share the first."""
    slots = make_slots(None, ["0", "1"], 0.5, cores=4)
    assert numbers(take([slots[number] for number in free], slots, trainer(**options))) == expected


@pytest.mark.parametrize(("devices", "free", "expected"), [(2, [0, 1, 2], [0, 1]), (2, [2], None), (9, [0, 1], None)])
def test_ranks_on_cores_take_a_slot_each(devices: int, free: list[int], expected: list[int] | None) -> None:
    slots, ranks = make_slots(3, [], 1.0, cores=3), trainer(accelerator="cpu", devices=devices, strategy="ddp")
    assert numbers(take([slots[number] for number in free], slots, ranks)) == expected


def test_a_job_that_asks_for_more_than_there_is_takes_all() -> None:
    slots = make_slots(3, [], 1.0, cores=3)
    assert take(slots, slots, trainer(accelerator="cpu", devices=9, strategy="ddp")) == slots


@pytest.mark.parametrize(("visible", "expected"), [("5,7", ["5", "7"]), ("GPU-1", ["GPU-1"]), (None, ["0", "1"])])
def test_gpus_have_their_names_in_cuda_visible_devices(
    visible: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: len(expected))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slots": 0}, "executor.slots=0 must be auto, or a number from 1 to 1000"),
        ({"gpu_fraction": 1.5}, "executor.gpu_fraction=1.5 must be above 0 and at most 1"),
        ({"timeout": 0}, "executor.timeout=0 must be a number of seconds above 0"),
    ],
)
def test_options_of_the_pool_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Pool(**options)
