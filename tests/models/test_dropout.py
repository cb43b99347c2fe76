"""Dropout drops the right share, and the same values on any number of ranks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from piecewise.models.dropout import Dropout

H = torch.ones(12, 40, dtype=torch.float64)


def drawn(layer: Dropout, seed: int, share: slice, calls: int = 1) -> list[torch.Tensor]:
    layer.begin(seed, 4, 0, len(H), share)
    return [layer(H[share]) for _ in range(calls)]


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_ranks_draw_what_one_process_draws(world_size: int) -> None:
    whole = drawn(Dropout(0.4), 7, slice(None), calls=2)
    for rank in range(world_size):
        mine = slice(rank, None, world_size)
        for found, expected in zip(drawn(Dropout(0.4), 7, mine, calls=2), whole, strict=True):
            torch.testing.assert_close(found, expected[mine], rtol=0, atol=0)


def test_masks_differ_between_layers_steps_and_examples() -> None:
    layer = Dropout(0.5)
    first, second = drawn(layer, 1, slice(None), calls=2)
    (other,) = drawn(layer, 2, slice(None))
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    torch.manual_seed(5)  # the global generator does not matter
    (again,) = drawn(layer, 1, slice(None))
    assert torch.equal(first, again)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.9])
def test_the_mean_is_kept_and_the_share_dropped(p: float) -> None:
    layer = Dropout(p)
    layer.begin(3, 0, 0, 500, slice(None))
    h = layer(torch.ones(500, 400, dtype=torch.float64))
    assert float((h == 0).double().mean()) == pytest.approx(p, abs=0.005)
    torch.testing.assert_close(h[h != 0], torch.full_like(h[h != 0], 1 / (1 - p)))


def test_evaluation_drops_nothing() -> None:
    layer = Dropout(0.9).eval()
    assert layer(H) is H


def test_without_begin_the_masks_come_from_the_global_generator() -> None:
    """In a user's own loop torch.manual_seed determines the masks."""
    torch.manual_seed(0)
    first = Dropout(0.5)(H)
    torch.manual_seed(0)
    assert torch.equal(Dropout(0.5)(H), first)
    assert not torch.equal(Dropout(0.5)(H), first)


def test_a_batch_of_another_size_than_its_share_is_refused() -> None:
    layer = Dropout(0.5)
    layer.begin(0, 0, 0, 12, slice(0, None, 2))
    with pytest.raises(RuntimeError, match="size of tensor"):
        layer(H)


def test_gradients_flow_where_nothing_was_dropped() -> None:
    layer, x = nn.Sequential(Dropout(0.5)), torch.ones(4, 50, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())
