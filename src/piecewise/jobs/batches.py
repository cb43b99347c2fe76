"""The global batch size, and whether the model and the ranks can use it."""

from __future__ import annotations

from torch import nn

from piecewise.data.resident import check_shares
from piecewise.errors import BadInput
from piecewise.jobs.config import JobConfig


def global_batch_size(config: JobConfig, num_examples: int) -> int:
    """The number of examples per step; `all` means all training examples. Raises BadInput if it is out of range."""
    size = config.batch_size
    if size == "all":
        return num_examples
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= num_examples:
        raise BadInput(
            f"batch_size={size!r} must be a whole number from 1 to the {num_examples} training examples, or all"
        )
    return size


def check_batches(config: JobConfig, model: nn.Module, num_examples: int, num_ranks: int) -> None:
    """Raise BadInput if ranks cannot share the batches equally, or if a batch is too small for batch norm."""
    size = global_batch_size(config, num_examples)
    check_shares(size, num_examples, num_ranks)
    last = num_examples % size or size
    if last // num_ranks < 2 and any(isinstance(layer, nn.BatchNorm1d) for layer in model.modules()):
        raise BadInput(
            f"batch_size={config.batch_size} cuts {num_examples} training examples so that the last batch has "
            f"{last} for {num_ranks} process{'es' * (num_ranks > 1)}; batch norm needs at least 2 in each"
        )
