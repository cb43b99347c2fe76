"""A rank that loses another one says so, and only then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from piecewise.errors import TryAgain
from piecewise.training.rank_failures import rank_failures_explained

# As gloo words it, the third without naming itself. NCCL's has not been met yet: no test here has a GPU.
SAID = [
    "[/pytorch/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 10000ms for recv",
    "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:31415",
    "Application timeout caused pair closure",
    "NCCL communicator was aborted on rank 1.",
]


def trainer(world_size: int) -> Any:
    return SimpleNamespace(world_size=world_size, global_rank=1)


@pytest.mark.parametrize("words", SAID)
def test_what_a_backend_says_of_a_lost_rank_can_be_tried_again(words: str) -> None:
    with pytest.raises(TryAgain, match="rank 1: another rank was lost: ") as told, rank_failures_explained(trainer(2)):
        raise RuntimeError(f"{words}\nand much more")
    assert str(told.value).endswith(words)


def test_a_distributed_error_needs_no_words() -> None:
    with pytest.raises(TryAgain, match="another rank was lost"), rank_failures_explained(trainer(2)):
        raise torch.distributed.DistError("broken")


@pytest.mark.parametrize(("world_size", "words"), [(1, SAID[0]), (2, "mat1 and mat2 shapes cannot be multiplied")])
def test_other_errors_stay_what_they_are(world_size: int, words: str) -> None:
    with pytest.raises(RuntimeError) as told, rank_failures_explained(trainer(world_size)):
        raise RuntimeError(words)
    assert str(told.value) == words
