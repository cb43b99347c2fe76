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
