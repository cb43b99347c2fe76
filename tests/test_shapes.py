from __future__ import annotations

import pytest
import torch

from piecewise.shapes import (
    as_rows,
    check_columns,
    check_outputs_per_target,
    check_rank,
    check_same_shape,
    check_shape,
)

SHAPES = [(), (1,), (3,), (3, 1), (1, 3), (2, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("other", SHAPES)
def test_only_equal_shapes_pass(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    """Also pairs that would broadcast are refused."""
    found = ""
    try:
        check_same_shape("a", torch.zeros(shape), "b", torch.zeros(other))
    except ValueError as error:
        found = str(error)
    assert found == ("" if shape == other else f"a has shape {shape} but b has shape {other}")


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_another_number_of_dimensions_is_refused(rank: int) -> None:
    tensor = torch.zeros((2,) * rank)
    check_rank("x", tensor, rank)
    with pytest.raises(ValueError, match="x must have") as caught:
        check_rank("x", tensor, rank + 1)
    assert str(caught.value) == f"x must have {rank + 1} dimensions, got shape {(2,) * rank}"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 2])
def test_outputs_have_count_columns_per_target_column(shape: tuple[int, ...], count: int) -> None:
    fitting = shape if len(shape) < 2 else (shape[0], count * shape[1])
    if len(shape) == 2:
        check_outputs_per_target(torch.zeros(fitting), torch.zeros(shape), count)
    else:
        with pytest.raises(ValueError, match=r"targets has shape .*, which must be \(N, C\)"):
            check_outputs_per_target(torch.zeros(fitting), torch.zeros(shape), count)
    with pytest.raises(ValueError, match=r"outputs has shape .* but targets has shape"):
        check_outputs_per_target(torch.zeros(*fitting, 1), torch.zeros(shape), count)


@pytest.mark.parametrize(
    ("shape", "wanted", "words"),
    [
        ((3,), (3,), "(3,)"),
        ((5, 1), ("N", 1), "(N, 1)"),
        ((4, 4), ("P", "P"), "(P, P)"),
        ((2, 7, 2), ("A", "B", "A"), "(A, B, A)"),
    ],
)
def test_equal_letters_need_equal_sizes(shape: tuple[int, ...], wanted: tuple[int | str, ...], words: str) -> None:
    check_shape("x", torch.zeros(shape), wanted)
    for bad in (shape[:-1], (*shape, 1), (*shape[:-1], shape[-1] + 1)):
        with pytest.raises(ValueError, match="must have shape") as caught:
            check_shape("x", torch.zeros(bad), wanted)
        assert str(caught.value) == f"x must have shape {words}, got shape {bad}"


def test_as_rows_flattens_each_example_to_one_row() -> None:
    images = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert torch.equal(as_rows("x", images, 12), torch.arange(24.0).reshape(2, 12))
    assert as_rows("x", torch.zeros(0, 3), 3).shape == (0, 3)
    for bad in (torch.zeros(12), torch.zeros(2, 11), torch.zeros(()), torch.zeros(2, 3, 3)):
        with pytest.raises(ValueError, match=r"x must have shape \(N, .*12"):
            as_rows("x", bad, 12)


def test_columns_must_be_a_multiple_of_the_given_number() -> None:
    check_columns("outputs", torch.zeros(5, 6), 3)
    for bad in (torch.zeros(5, 7), torch.zeros(6)):
        with pytest.raises(ValueError, match=r"outputs must have shape \(N, 3·C\), got shape \("):
            check_columns("outputs", bad, 3)
