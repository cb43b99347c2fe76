"""Checking whether a server answers, without MLflow, whose import alone takes a second of a core."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request

from piecewise.errors import TryAgain
from piecewise.tracking.store.errors import UNKNOWN_HOST, UNREACHABLE

TIMEOUT_SECONDS = 5.0  # without a byte


def check_answers(uri: str) -> None:
    """Raises TryAgain if nothing answers at `uri`. MLflow's client judges any answer."""
    if not uri.startswith("http") or urllib.request.getproxies():  # a proxy always answers
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):
            raise TryAgain(UNKNOWN_HOST if isinstance(reason, socket.gaierror) else UNREACHABLE) from error
    except http.client.HTTPException:  # the answer is not HTTP
        pass
