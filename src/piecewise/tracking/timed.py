"""How long a store keeps us waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Timed:
    """A client whose calls are timed, so that a store that keeps us waiting can be left."""

    def __init__(self, client: Any, spent: float = 0.0) -> None:
        self._client = client
        self._since: float | None = None
        self._spent = spent

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._timed(found) if callable(found) else found

    def seconds(self) -> float:
        """How long its calls have taken in all, the one that is being waited for included."""
        since = self._since
        return self._spent + (time.monotonic() - since if since is not None else 0.0)

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            self._since = time.monotonic()
            try:
                return call(*arguments, **options)
            finally:
                self._spent += time.monotonic() - self._since
                self._since = None

        return timed
