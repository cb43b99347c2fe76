"""The user name and password for a server that `piecewise server` runs on this machine."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from piecewise.errors import BadInput
from piecewise.project import Project

FILE = Path("runs", ".server", "credentials.json")
VARIABLES = {"MLFLOW_TRACKING_USERNAME": "username", "MLFLOW_TRACKING_PASSWORD": "password"}
LOOPBACK = ("127.0.0.1", "localhost")
_lent: dict[str, str] = {}  # the variables that `lend` set


def lend(uri: str, project: Project) -> None:
    """Set the variables that MLflow's client reads, if `uri` is the address of this project's own server.

    Variables that the user set win. Those that `lend` set for another server are removed first.
    """
    for name, value in _lent.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _lent.clear()
    if any(name in os.environ for name in VARIABLES):
        return
    stored = read(project)
    if stored is not None and _local_port(uri) is not None and _local_port(uri) == _local_port(stored["uri"]):
        _lent.update({name: stored[key] for name, key in VARIABLES.items()})
        os.environ.update(_lent)


def read(project: Project) -> dict[str, Any] | None:
    """uri, username and password; None if this project has no server. Raises BadInput if other users may read them."""
    path = project / FILE
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None
    if mode & 0o077:
        raise BadInput(f"{path} has mode {mode:04o}: others may have read the password; allowed: 0600")
    try:
        stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return {key: str(stored[key]) for key in ("uri", *VARIABLES.values())}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({type(error).__name__}); allowed: what piecewise server wrote") from error


def _local_port(uri: str) -> int | None:
    """The port of an http address on this machine; None for any other address."""
    try:
        parts = urlsplit(uri)
        return parts.port if parts.scheme == "http" and parts.hostname in LOOPBACK else None
    except ValueError:
        return None
