"""How long a store keeps us waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopwatch:
    """Of one who waits for one thing at a time; another thread may read it."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._spent = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        since = self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None
            self._spent += time.monotonic() - since

    def seconds(self) -> float:
        """In all, what is being waited for just now included."""
        spent, since = self._spent, self._since  # in this order no time is counted twice
        return spent + (time.monotonic() - since if since is not None else 0.0)


class Timed:
    """A client whose calls are timed, so that a store that keeps us waiting can be left."""

    def __init__(self, client: Any, watch: Stopwatch) -> None:
        self._client = client
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._timed(found) if callable(found) else found

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            with self._watch.running():
                return call(*arguments, **options)

        return timed
