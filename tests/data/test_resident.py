from __future__ import annotations

from itertools import chain, islice

import pytest
import torch
from torch import Tensor

from piecewise.data.resident import Batch, ChunkLoader, TrainLoader
from piecewise.data.spec import Examples
from piecewise.errors import BadInput

N, BATCH = 23, 5  # the last of the 5 batches holds 3 examples
SHARED = 6  # two and three ranks can share this batch equally; the last one, of 5 examples, they cannot
NUMBERED = Examples(torch.arange(float(N))[:, None], torch.arange(N))
IMAGES = Examples(torch.rand(N, 2, 4, 3) + 0.1, torch.arange(N))  # no pixel is zero, so the padding can be recognised


def batches(loader: TrainLoader, count: int) -> list[Batch]:
    """`count` batches, epoch after epoch; like a trainer, it never asks for a batch after the last of an epoch."""
    drawn: list[Batch] = []
    while len(drawn) < count:
        drawn += islice(loader, min(len(loader) - loader.position % len(loader), count - len(drawn)))
    return drawn


def numbers(batch: Batch) -> list[int]:
    assert torch.equal(batch.x[:, 0].long(), batch.y), "inputs stay with their targets"
    return batch.y.tolist()


def test_every_example_once_in_every_epoch() -> None:
    loader = TrainLoader(NUMBERED, BATCH, seed=1)
    assert len(loader) == 5
    epochs = [[numbers(batch) for batch in loader] for _ in range(3)]
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [5, 5, 5, 5, 3]
        assert sorted(chain(*epoch)) == list(range(N))
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_depends_on_the_seed_alone() -> None:
    orders = [[numbers(batch) for batch in TrainLoader(NUMBERED, BATCH, seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_a_consumer_that_never_exhausts_the_loader_gets_the_next_epoch() -> None:
    loader = TrainLoader(NUMBERED, BATCH, seed=1)
    counted = [batch for _ in range(3) for batch in islice(loader, len(loader))]  # like Lightning, which counts
    loader = TrainLoader(NUMBERED, BATCH, seed=1)
    exhausted = [batch for _ in range(3) for batch in loader]
    assert [numbers(batch) for batch in counted] == [numbers(batch) for batch in exhausted]


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_share_the_same_global_batches(world_size: int) -> None:
    alone = list(TrainLoader(NUMBERED, SHARED, seed=1))
    ranks = [list(TrainLoader(NUMBERED, SHARED, 1, rank=r, world_size=world_size)) for r in range(world_size)]
    for whole, *shares in zip(alone, *ranks, strict=True):
        assert sorted(chain(*map(numbers, shares))) == sorted(numbers(whole))
        sizes = [len(share.y) for share in shares]
        assert max(sizes) - min(sizes) <= 1
        assert {share.global_size for share in shares} == {len(whole.y)} == {whole.global_size}


@pytest.mark.parametrize(("size", "num_ranks"), [(5, 2), (1, 2), (22, 3)])
def test_batches_that_cannot_be_shared_equally_are_refused(size: int, num_ranks: int) -> None:
    message = (
        f"batch_size={size} cannot be cut into equal shares for {num_ranks} processes .* a multiple of {num_ranks}"
    )
    with pytest.raises(BadInput, match=message):
        TrainLoader(NUMBERED, size, 1, rank=0, world_size=num_ranks)
    assert len(TrainLoader(NUMBERED, N, 1, rank=0, world_size=2)) == 1  # one batch of all examples is allowed


@pytest.mark.parametrize("max_shift", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 4, 5, 7, 10])
def test_a_restart_continues_bit_for_bit(done: int, max_shift: int) -> None:
    loader = TrainLoader(IMAGES, BATCH, seed=1, max_shift=max_shift)
    batches(loader, done)
    state = loader.state_dict()
    wanted = batches(loader, 8)
    fresh = TrainLoader(IMAGES, BATCH, seed=1, max_shift=max_shift)
    fresh.load_state_dict(state)
    for a, b in zip(batches(fresh, 8), wanted, strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.y, b.y)


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    """The image moved by (down, right), pixel by pixel, zeros at the uncovered border."""
    moved = torch.zeros_like(image)
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                moved[:, row, column] = image[:, row - down, column - right]
    return moved


def test_every_image_gets_its_own_uniformly_drawn_shift() -> None:
    moves = {
        (int(y), down, right): shifted(IMAGES.x[y], down, right)
        for y in IMAGES.y
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    }
    seen = []
    for batch in batches(TrainLoader(IMAGES, BATCH, seed=1, max_shift=1), 60):
        for x, y in zip(batch.x, batch.y, strict=True):
            (move,) = [key[1:] for key, image in moves.items() if key[0] == y and torch.equal(image, x)]
            seen.append(move)
    counts = [seen.count(move) for move in set(seen)]
    assert len(counts) == 9
    mean = len(seen) / 9
    assert max(abs(count - mean) for count in counts) < 4 * (mean * 8 / 9) ** 0.5


@pytest.mark.parametrize("world_size", [2, 3])
def test_shifts_are_the_same_on_any_number_of_ranks(world_size: int) -> None:
    alone = TrainLoader(IMAGES, SHARED, seed=1, max_shift=2)
    ranks = [TrainLoader(IMAGES, SHARED, 1, 2, rank, world_size) for rank in range(world_size)]
    for whole, *shares in zip(batches(alone, 10), *(batches(rank, 10) for rank in ranks), strict=True):
        for r, share in enumerate(shares):
            assert torch.equal(share.x, whole.x[r::world_size])
            assert torch.equal(share.y, whole.y[r::world_size])


def test_the_examples_themselves_are_never_changed() -> None:
    before = IMAGES.x.clone()
    for batch in batches(TrainLoader(IMAGES, BATCH, seed=1, max_shift=1), 5):
        batch.x.zero_()
    assert torch.equal(IMAGES.x, before)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_ranks_take_whole_chunks_in_order(world_size: int) -> None:
    ranks = [list(ChunkLoader(NUMBERED, 5, rank, world_size)) for rank in range(world_size)]
    assert [len(ChunkLoader(NUMBERED, 5, rank, world_size)) for rank in range(world_size)] == list(map(len, ranks))
    chunks = [ranks[n % world_size][n // world_size] for n in range(5)]
    assert [numbers(chunk) for chunk in chunks] == [list(range(s, min(s + 5, N))) for s in range(0, N, 5)]
    assert {chunk.global_size for chunk in chunks} == {N}
