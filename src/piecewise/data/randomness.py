"""Random numbers as pure functions of what they are for: no state to save, nothing to lose on a restart."""

from __future__ import annotations

import hashlib
import json

import torch
from torch import Tensor


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed of 63 bits for one purpose, e.g. derive_seed(seed, "order", epoch); different purposes never share one."""
    text = json.dumps([seed, *purpose])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose. Always on the CPU, so that a GPU run sees the same numbers."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def epoch_order(num_examples: int, seed: int, epoch: int) -> Tensor:
    """The order of epoch `epoch`: a permutation of 0 … N − 1, the same on every rank and restart.  (N,) int64."""
    return torch.randperm(num_examples, generator=generator(seed, "order", epoch))
