"""Overrides as Hydra's own parser reads them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override


@lru_cache(maxsize=100_000)
def parse(text: str) -> Override:
    """One override, which the caller must not change. Raises OverrideParseException."""
    with shuffled_alike(text):
        return _parser().parse_overrides([text])[0]


@contextmanager
def shuffled_alike(text: str) -> Iterator[None]:
    """Let `shuffle()` give the same order each time it is written.

    Hydra shuffles with Python's global generator. The same command would then number its jobs in another order.
    """
    if "shuffle" not in text:
        yield
        return
    state = random.getstate()
    random.seed(text)
    try:
        yield
    finally:
        random.setstate(state)


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()
