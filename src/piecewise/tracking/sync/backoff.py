"""Waiting longer and longer for a store that does not answer."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0


@dataclass
class Backoff:
    """The pause until the next try. Each failure doubles it; a random factor keeps many processes from coming at once.

    During the pause no request is made, so that a server that is away costs nothing.
    """

    every: float  # seconds between two tries while they succeed
    first: float = FIRST_SECONDS
    failures: int = 0
    random: random.Random = field(default_factory=random.Random)

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self) -> None:
        self.failures += 1

    @property
    def seconds(self) -> float:
        if not self.failures:
            return self.every
        longest = min(LONGEST_SECONDS, self.first * 2.0 ** min(self.failures - 1, 16))
        return longest * self.random.uniform(0.5, 1.0)
