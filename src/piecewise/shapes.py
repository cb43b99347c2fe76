"""Rank and shape checks: every shape error a user sees comes from here."""

from __future__ import annotations

from torch import Tensor


def check_same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """Refuse operands that would broadcast: (N, 1) against (N,) is the classic silent error.

    Raises ValueError naming both tensors and both shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"{name_a} has shape {tuple(a.shape)} but {name_b} has shape {tuple(b.shape)}")


def check_rank(name: str, tensor: Tensor, rank: int) -> None:
    """Refuse a tensor that does not have `rank` dimensions. Raises ValueError."""
    if tensor.ndim != rank:
        raise ValueError(f"{name} must have {rank} dimensions, got shape {tuple(tensor.shape)}")


def check_outputs_per_target(outputs: Tensor, targets: Tensor, count: int) -> None:
    """Refuse outputs that are not `count` numbers for each target: (N, count·C) for (N, C). Raises ValueError."""
    wanted = (*targets.shape[:1], *(count * size for size in targets.shape[1:2]), *targets.shape[2:])
    if outputs.shape != wanted:
        needed = "" if count == 1 else f", of which each needs {count} outputs"
        raise ValueError(
            f"outputs has shape {tuple(outputs.shape)} but targets has shape {tuple(targets.shape)}{needed}"
        )
