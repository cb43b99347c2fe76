from __future__ import annotations

import pytest
import torch

from piecewise.data.spec import DataSpec, Examples, TargetKind


@pytest.mark.parametrize(("shape", "count"), [((1, 28, 28), 784), ((40,), 40), ((), 1)])
def test_number_of_inputs(shape: tuple[int, ...], count: int) -> None:
    assert DataSpec("x", shape, frozenset({TargetKind.REAL}), 1, None, 1, 1).num_inputs == count


def test_indexing_picks_inputs_and_targets_together() -> None:
    examples = Examples(torch.arange(5.0)[:, None], torch.arange(5))
    assert len(examples) == 5
    picked = examples[torch.tensor([4, 0])]
    assert (picked.x.tolist(), picked.y.tolist()) == ([[4.0], [0.0]], [4, 0])


def test_inputs_and_targets_must_pair_up() -> None:
    with pytest.raises(ValueError, match="x holds 3 examples but y holds 1"):
        Examples(torch.zeros(3, 1), torch.zeros(1, 1))
