"""Random numbers as pure functions of a seed and a purpose: a restart needs no saved state."""

import hashlib
import json

import torch
from torch import Tensor


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed of 63 bits for one purpose, e.g. derive_seed(seed, "order", epoch). Other purposes get other seeds."""
    text = json.dumps([seed, *purpose])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A generator for one purpose. It is on the CPU, so runs on a GPU get the same numbers."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def epoch_order(num_examples: int, seed: int, epoch: int) -> Tensor:
    """The order of an epoch: a permutation of 0 … N − 1, the same on every rank and restart.  (N,) int64."""
    return torch.randperm(num_examples, generator=generator(seed, "order", epoch))
