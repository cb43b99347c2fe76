"""Waiting for a store: whether it answers, how long it has not, and when to try again."""

import http.client
import math
import random
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise.errors import TryAgain
from piecewise.tracking.store.errors import UNKNOWN_HOST, UNREACHABLE

TIMEOUT_SECONDS = 5.0  # without receiving a byte
LONGEST_PAUSE_SECONDS = 30.0
UPLOADED_BYTES_PER_SECOND = 250_000  # by a slow line, 2 Mbit/s
CHECKED_BYTES_PER_SECOND = 20_000_000  # of an embedded store on a slow disk, when it is opened


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


class Waiting:
    """How long a store has kept this process waiting since it last answered."""

    def __init__(self) -> None:
        self.num_answers = 0
        self._failed = 0.0  # seconds of the calls that have failed since
        self._deadline = math.inf  # by when the call that runs now should be answered at once

    @contextmanager
    def call(self, expected: float = 0.0) -> Iterator[None]:
        """Around one call to the store, which may take the seconds `expected` besides."""
        self._deadline = time.monotonic() + expected
        try:
            yield
        except BaseException:
            self._failed = self.seconds
            raise
        else:
            self._failed = 0.0
            self.num_answers += 1
        finally:
            self._deadline = math.inf

    def restart(self) -> None:
        """Forget how long the store has not answered until now."""
        self._failed = 0.0
        if self.is_in_call:
            self._deadline = max(self._deadline, time.monotonic())

    @property
    def is_in_call(self) -> bool:
        return self._deadline < math.inf

    @property
    def seconds(self) -> float:
        return self._failed + max(0.0, time.monotonic() - self._deadline)


class WatchedClient:
    """An MLflow client that notes in `waiting` when it calls the store; an upload may take longer than other calls."""

    def __init__(self, client: Any, waiting: Waiting) -> None:
        self._client = client
        self._waiting = waiting

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            paths = [Path(word) for word in arguments if isinstance(word, str)] if "artifact" in name else []
            with self._waiting.call(sum(map(num_bytes, paths)) / UPLOADED_BYTES_PER_SECOND):
                return value(*arguments, **options)

        return call if callable(value) else value


def num_bytes(path: Path) -> int:
    """The bytes of a file, or of the files in a folder; 0 if there is none."""
    with suppress(OSError, ValueError):  # the word is no path
        if path.is_file():
            return path.stat().st_size
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_absolute() else 0
    return 0
