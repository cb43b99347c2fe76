"""Rank and shape checks: every shape error a user sees comes from here."""

import math
from collections.abc import Sequence

from torch import Tensor


def check_same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """Refuse tensors of unequal shapes: (N, 1) against (N,) would broadcast without an error.

    Raises ValueError naming both tensors and both shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"{name_a} has shape {tuple(a.shape)} but {name_b} has shape {tuple(b.shape)}")


def check_rank(name: str, tensor: Tensor, rank: int) -> None:
    """Refuse a tensor that does not have `rank` dimensions. Raises ValueError."""
    if tensor.ndim != rank:
        raise ValueError(f"{name} must have {rank} dimensions, got shape {tuple(tensor.shape)}")


def check_shape(name: str, tensor: Tensor, wanted: Sequence[int | str]) -> None:
    """Refuse a tensor whose shape is not `wanted`. A letter stands for any size; equal letters stand for equal sizes.

    ("N", 1) is a column, ("P", "P") a square. Raises ValueError naming the tensor, its shape and `wanted`.
    """
    sizes: dict[str, int] = {}
    is_fitting = tensor.ndim == len(wanted)
    for size, want in zip(tensor.shape, wanted, strict=False):
        if isinstance(want, str) and want not in sizes:
            sizes[want] = size
        else:
            is_fitting = is_fitting and size == (sizes[want] if isinstance(want, str) else want)
    if not is_fitting:
        raise _wrong(name, tensor, f"({', '.join(str(want) for want in wanted)}{',' * (len(wanted) == 1)})")


def as_rows(name: str, tensor: Tensor, count: int) -> Tensor:
    """Flatten N examples of `count` numbers each: (N, …) → (N, count). Raises ValueError for any other size."""
    if tensor.ndim < 2 or math.prod(tensor.shape[1:]) != count:
        raise _wrong(name, tensor, f"(N, {count})" if tensor.ndim < 3 else f"(N, …) with {count} numbers in each of N")
    return tensor.flatten(1)


def check_columns(name: str, tensor: Tensor, count: int) -> None:
    """Refuse a tensor that is not (N, count·C) for some C. Raises ValueError."""
    if tensor.ndim < 2 or tensor.shape[1] % count:
        raise _wrong(name, tensor, f"(N, {count}·C)")


def check_outputs_per_target(outputs: Tensor, targets: Tensor, count: int) -> None:
    """Refuse outputs that do not have `count` numbers per target: (N, count·C) for (N, C). Raises ValueError."""
    wanted = (*targets.shape[:1], *(count * size for size in targets.shape[1:2]), *targets.shape[2:])
    if targets.ndim < 2 or outputs.shape != wanted:
        needed = "" if count == 1 else f", of which each needs {count} outputs"
        needed += ", which must be (N, C)" if targets.ndim < 2 else ""
        raise ValueError(
            f"outputs has shape {tuple(outputs.shape)} but targets has shape {tuple(targets.shape)}{needed}"
        )


def _wrong(name: str, tensor: Tensor, wanted: str) -> ValueError:
    return ValueError(f"{name} must have shape {wanted}, got shape {tuple(tensor.shape)}")
