"""Whether a server is there at all, found out without MLflow, whose import alone takes a second of a processor."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request

from piecewise.errors import TryAgain
from piecewise.tracking.store.errors import UNKNOWN_HOST, UNREACHABLE

SECONDS = 5.0  # without a byte


def check_answers(uri: str) -> None:
    """Raises TryAgain if nothing answers at `uri`. Whatever does answer is left to MLflow to understand."""
    if not uri.startswith("http") or urllib.request.getproxies():  # a proxy always answers, and MLflow may know another
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):
            raise TryAgain(UNKNOWN_HOST if isinstance(reason, socket.gaierror) else UNREACHABLE) from error
    except http.client.HTTPException:  # what it says is no HTTP
        pass
