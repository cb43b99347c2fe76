from __future__ import annotations

import pytest
import torch

from piecewise.data.spec import Examples
from piecewise.data.split import num_validation, split
from piecewise.errors import BadInput

NUMBERED = Examples(torch.arange(50.0)[:, None], torch.arange(50))


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.5, 0.98])
def test_the_parts_are_disjoint_complete_and_in_order(fraction: float) -> None:
    train, val = split(NUMBERED, fraction, split_seed=1)
    assert len(val) == round(50 * fraction) == num_validation(50, fraction)
    for part in (train, val):
        assert part.y.tolist() == sorted(part.y.tolist())
        assert part.x[:, 0].tolist() == part.y.tolist(), "inputs stay with their targets"
    assert sorted(train.y.tolist() + val.y.tolist()) == list(range(50))


def test_the_split_depends_on_its_seed_alone() -> None:
    torch.manual_seed(1)
    _, val = split(NUMBERED, 0.2, split_seed=1)
    torch.manual_seed(2)
    other_values = Examples(torch.randn(50, 3), NUMBERED.y)
    assert split(other_values, 0.2, split_seed=1)[1].y.tolist() == val.y.tolist()
    assert split(NUMBERED, 0.2, split_seed=2)[1].y.tolist() != val.y.tolist()


def test_every_example_is_as_likely_to_be_validated_as_any_other() -> None:
    """Over 1,000 seeds, each example is validated 200 times on average, with standard deviation √(1000·0.2·0.8)."""
    times = torch.zeros(50)
    for seed in range(1000):
        times[split(NUMBERED, 0.2, seed)[1].y] += 1
    assert (times - 200).abs().max() < 5 * (1000 * 0.2 * 0.8) ** 0.5


@pytest.mark.parametrize(("fraction", "train", "val"), [(0.0, 50, 0), (0.009, 50, 0), (0.995, 0, 50), (1.0, 0, 50)])
def test_a_fraction_that_leaves_an_empty_part_is_refused(fraction: float, train: int, val: int) -> None:
    with pytest.raises(BadInput) as caught:
        split(NUMBERED, fraction, split_seed=0)
    assert str(caught.value).startswith(
        f"data.val_fraction={fraction} of 50 training examples leaves {train} to train on and {val} to validate on"
    )
