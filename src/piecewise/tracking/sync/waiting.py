"""Waiting for a store: whether it answers, whether a call is running, and when to try again."""

import http.client
import random
import socket
import ssl
import urllib.error
import urllib.request
from contextlib import AbstractContextManager
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


class WatchedClient:
    """An MLflow client that holds `in_use` during each of its calls."""

    def __init__(self, client: Any, in_use: AbstractContextManager[Any]) -> None:
        self._client = client
        self._in_use = in_use

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            with self._in_use:
                return value(*arguments, **options)

        return call if callable(value) else value
