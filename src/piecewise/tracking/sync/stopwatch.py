"""Measuring how long a store keeps us waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stopwatch:
    """Sums the waiting times of one thread. Another thread may read the sum."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._finished = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        since = self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None
            self._finished += time.monotonic() - since

    def seconds(self) -> float:
        """The sum, including the present wait."""
        finished, since = self._finished, self._since  # read in this order, no time counts twice
        return finished + (time.monotonic() - since if since is not None else 0.0)


class TimedClient:
    """An MLflow client, with a stopwatch running during each of its calls."""

    def __init__(self, client: Any, stopwatch: Stopwatch) -> None:
        self._client = client
        self._stopwatch = stopwatch

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        return self._stopwatch.running()(value) if callable(value) else value
