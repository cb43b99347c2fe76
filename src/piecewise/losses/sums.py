"""Sums of exponentials that never leave the logarithm."""

from __future__ import annotations

from torch import Tensor


def log_sum_exp(z: Tensor) -> Tensor:
    """log Σ exp z over the last dimension, (…, M) → (…,).

    Its gradient exp(z − log Σ exp z) would be lost in the rounding of a z of 1e7; the largest z is taken out before,
    as a constant, which leaves the gradient what it is.
    """
    top = z.detach().amax(dim=-1, keepdim=True)
    return top.squeeze(-1) + (z - top).logsumexp(dim=-1)
