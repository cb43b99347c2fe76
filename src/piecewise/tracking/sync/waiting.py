"""Waiting for a store: whether it answers, whether a call is running, and when to try again."""

import http.client
import random
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from piecewise.errors import TryAgain
from piecewise.tracking.store.errors import UNKNOWN_HOST, UNREACHABLE

TIMEOUT_SECONDS = 5.0  # without receiving a byte
LONGEST_PAUSE_SECONDS = 30.0


def check_answers(uri: str) -> None:
    """Raises TryAgain if `uri` is a server's and none answers. It does not import MLflow, which takes 1 s of CPU time.

    Any answer counts, even an error: MLflow's client deals with it later. If the environment names a proxy for this
    address, nothing is checked, because the proxy would answer.
    """
    if not uri.startswith("http") or _has_proxy(uri):
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


def _has_proxy(uri: str) -> bool:
    """Whether the environment names a proxy for `uri`. `no_proxy` names none, and excepts some addresses."""
    parsed = urllib.parse.urlsplit(uri)
    is_named = not {parsed.scheme, "all"}.isdisjoint(urllib.request.getproxies())
    return is_named and not urllib.request.proxy_bypass(parsed.netloc.rpartition("@")[2])


@dataclass
class Backoff:
    """The pause until the next try, for a caller that counts the failures. Each doubles it, up to 30 s.

    A random factor from 0.5 to 1 spreads the tries of many processes.
    """

    every: float  # seconds from a success to the next try
    first: float = 1.0  # at most, after the first failure
    failures: int = 0  # since the last success

    @property
    def seconds(self) -> float:
        if not self.failures:
            return self.every
        longest = min(LONGEST_PAUSE_SECONDS, self.first * 2.0 ** min(self.failures - 1, 16))
        return longest * random.Random().uniform(0.5, 1.0)  # not the global generator, which an experiment seeds


class WatchedClient:
    """An MLflow client that holds the lock `in_use` during each of its calls, so that others see that it waits."""

    def __init__(self, client: Any, in_use: AbstractContextManager[Any]) -> None:
        self._client = client
        self._in_use = in_use

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            with self._in_use:
                return value(*arguments, **options)

        return call if callable(value) else value
