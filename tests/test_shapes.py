from __future__ import annotations

import pytest
import torch

from piecewise.shapes import check_outputs_per_target, check_rank, check_same_shape

SHAPES = [(), (1,), (3,), (3, 1), (1, 3), (2, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("other", SHAPES)
def test_only_equal_shapes_pass(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    """Most of these pairs would broadcast."""
    found = ""
    try:
        check_same_shape("a", torch.zeros(shape), "b", torch.zeros(other))
    except ValueError as error:
        found = str(error)
    assert found == ("" if shape == other else f"a has shape {shape} but b has shape {other}")


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_rank_is_counted(rank: int) -> None:
    tensor = torch.zeros((2,) * rank)
    check_rank("x", tensor, rank)
    with pytest.raises(ValueError, match="x must have") as caught:
        check_rank("x", tensor, rank + 1)
    assert str(caught.value) == f"x must have {rank + 1} dimensions, got shape {(2,) * rank}"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 2])
def test_outputs_come_in_multiples_of_the_targets(shape: tuple[int, ...], count: int) -> None:
    fitting = shape if len(shape) < 2 else (shape[0], count * shape[1])
    check_outputs_per_target(torch.zeros(fitting), torch.zeros(shape), count)
    with pytest.raises(ValueError, match=r"outputs has shape .* but targets has shape"):
        check_outputs_per_target(torch.zeros(*fitting, 1), torch.zeros(shape), count)
