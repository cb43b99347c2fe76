from __future__ import annotations

from itertools import permutations

import pytest
import torch

from piecewise.data.randomness import derive_seed, epoch_order, generator


@pytest.mark.parametrize(
    ("arguments", "digest"),
    [((0, "order", 0), "1c260f200b8b94c4"), ((7, "line", "train"), "ad1b59307513c7fc")],
)
def test_a_seed_is_the_first_63_bits_of_a_hash(arguments: tuple[int, ...], digest: str) -> None:
    """The digests are from `printf '[0, "order", 0]' | sha256sum`: every machine must compute the same."""
    assert derive_seed(*arguments) == int(digest, 16) // 2


def test_different_purposes_have_different_seeds() -> None:
    seeds = {
        derive_seed(seed, purpose, epoch)
        for seed in range(-5, 5)
        for purpose in ("order", "shift")
        for epoch in range(50)
    }
    assert len(seeds) == 10 * 2 * 50
    assert 0 <= min(seeds) < max(seeds) < 2**63


def test_generators_of_one_seed_and_purpose_agree() -> None:
    torch.manual_seed(1)
    first = torch.rand(5, generator=generator(3, "split"))
    torch.manual_seed(2)
    assert torch.equal(torch.rand(5, generator=generator(3, "split")), first)
    assert not torch.equal(torch.rand(5, generator=generator(3, "order")), first)


@pytest.mark.parametrize("count", [1, 2, 17, 1000])
def test_an_order_is_a_permutation(count: int) -> None:
    assert sorted(epoch_order(count, seed=4, epoch=9).tolist()) == list(range(count))


def test_an_order_is_a_pure_function_of_seed_and_epoch() -> None:
    state = torch.get_rng_state()
    order = epoch_order(100, seed=1, epoch=2)
    assert torch.equal(torch.get_rng_state(), state), "the global generator does not change"
    torch.manual_seed(5)
    assert torch.equal(epoch_order(100, seed=1, epoch=2), order)
    assert not torch.equal(epoch_order(100, seed=1, epoch=3), order)
    assert not torch.equal(epoch_order(100, seed=2, epoch=2), order)


def test_every_order_is_equally_likely() -> None:
    """6 orders of 3 examples in 1,200 epochs: 200 each, within 4 standard deviations."""
    counts = dict.fromkeys(permutations(range(3)), 0)
    for epoch in range(1200):
        counts[tuple(epoch_order(3, seed=0, epoch=epoch).tolist())] += 1
    assert max(abs(count - 200) for count in counts.values()) < 4 * (1200 / 6 * 5 / 6) ** 0.5
