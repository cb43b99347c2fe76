"""Waiting for a store: whether it answers, how long it takes, and when to try again."""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from piecewise.errors import TryAgain
from piecewise.tracking.store.errors import UNKNOWN_HOST, UNREACHABLE

TIMEOUT_SECONDS = 5.0  # without a byte
LONGEST_PAUSE_SECONDS = 30.0


def check_answers(uri: str) -> None:
    """Raises TryAgain if no server answers at `uri`. It does not import MLflow, which takes 1 s of CPU time.

    Any answer counts, even an error: MLflow's client deals with it later. Behind a proxy nothing is checked, because
    the proxy would answer.
    """
    if not uri.startswith("http") or urllib.request.getproxies():
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError as error:  # an answer
        error.close()
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # a server with a wrong certificate answers too
            raise TryAgain(UNKNOWN_HOST if isinstance(reason, socket.gaierror) else UNREACHABLE) from error
    except http.client.HTTPException:  # an answer that is not HTTP
        pass


@dataclass
class Backoff:
    """The pause until the next try. Each failure doubles it; a random factor spreads the tries of many processes.

    No request is made during the pause, so that a server that is down costs nothing.
    """

    every: float  # seconds between two tries while they succeed
    first: float = 1.0  # seconds after the first failure
    failures: int = 0  # since the last success

    @property
    def seconds(self) -> float:
        if not self.failures:
            return self.every
        longest = min(LONGEST_PAUSE_SECONDS, self.first * 2.0 ** min(self.failures - 1, 16))
        return longest * random.Random().uniform(0.5, 1.0)  # not the global generator, which an experiment seeds


class Stopwatch:
    """Sums the time that one thread waits for a store. Another thread may read the sum."""

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
