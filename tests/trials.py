"""Repeated random trials of a promise: a share of them is run, from a seed that can be replayed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

import pytest


class Trials:
    """`for rng in trials("promise", 200): …` runs a share of 200 trials, and counts those that end without an error."""

    def __init__(self, share: float, seed: int) -> None:
        self.share = share
        self.seed = seed
        self.tally: dict[str, list[int]] = {}  # promise: [kept, tried]

    def count(self, full: int) -> int:
        return max(1, math.ceil(full * self.share))

    def __call__(self, promise: str, full: int) -> Iterator[Random]:
        """A random generator for each trial. Its draws depend only on seed, promise and the trial's number."""
        for number in range(self.count(full)):
            self.note(promise, kept=0, tried=1)
            yield Random(f"{self.seed} {promise} {number}")
            self.note(promise, kept=1, tried=0)

    def note(self, promise: str, kept: int, tried: int) -> None:
        entry = self.tally.setdefault(promise, [0, 0])
        entry[0] += kept
        entry[1] += tried


def is_drawn(name: str, share: float, seed: int) -> bool:
    """Whether a test is in this share of all tests. Every seed draws other ones."""
    return Random(f"{seed} {name}").random() < share


KEY = pytest.StashKey[Trials]()
