"""A rank reports TryAgain when another rank is lost, and only then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from piecewise.errors import TryAgain
from piecewise.training.strategy import rank_failures_explained

# Three messages of gloo, which the third does not name. The message of NCCL is a guess: no test here has a GPU.
MESSAGES = [
    "[/pytorch/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 10000ms for recv",
    "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:31415",
    "Application timeout caused pair closure",
    "NCCL communicator was aborted on rank 1.",
]


def trainer(world_size: int) -> Any:
    return SimpleNamespace(world_size=world_size, global_rank=1)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_backends_error_about_a_lost_rank_becomes_try_again(message: str) -> None:
    with (
        pytest.raises(TryAgain, match="rank 1: another rank was lost: ") as raised,
        rank_failures_explained(trainer(2)),
    ):
        raise RuntimeError(f"{message}\nand much more")
    assert str(raised.value).endswith(message)


def test_a_distributed_error_becomes_try_again_with_any_message() -> None:
    with pytest.raises(TryAgain, match="another rank was lost"), rank_failures_explained(trainer(2)):
        raise torch.distributed.DistError("broken")


@pytest.mark.parametrize(
    ("world_size", "message"), [(1, MESSAGES[0]), (2, "mat1 and mat2 shapes cannot be multiplied")]
)
def test_other_errors_are_raised_unchanged(world_size: int, message: str) -> None:
    with pytest.raises(RuntimeError) as raised, rank_failures_explained(trainer(world_size)):
        raise RuntimeError(message)
    assert str(raised.value) == message
