"""How long to leave a store alone that does not answer."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST = 1.0  # seconds
LONGEST = 30.0


@dataclass
class Backoff:
    """Seconds until the next try: doubled with each failure, by chance shorter, so that many do not come at once.

    While they last nobody is asked anything: who waits for a server that is away costs it, and the network, nothing.
    """

    every: float  # seconds between two tries while all goes well
    first: float = FIRST
    failures: int = 0
    chance: random.Random = field(default_factory=random.Random)

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self) -> None:
        self.failures += 1

    @property
    def seconds(self) -> float:
        if not self.failures:
            return self.every
        longest = min(LONGEST, self.first * 2.0 ** min(self.failures - 1, 16))
        return longest * self.chance.uniform(0.5, 1.0)
