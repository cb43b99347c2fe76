"""Sums of exponentials, computed in the logarithm."""

from torch import Tensor


def log_sum_exp(z: Tensor) -> Tensor:
    """log Σ exp z over the last dimension, (…, M) → (…,).

    With z of 1e7, rounding would lose the gradient exp(z − log Σ exp z). So the largest z is subtracted first, as a
    constant, which does not change the gradient.
    """
    top = z.detach().amax(dim=-1, keepdim=True)
    return top.squeeze(-1) + (z - top).logsumexp(dim=-1)
