"""The name and password for a server that `piecewise server` keeps on this machine."""

from __future__ import annotations

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
_lent: dict[str, str] = {}  # what stands in the environment because of us, not because a person put it there


def lend(uri: str, project: Project) -> None:
    """Put them into the environment, where MLflow's client looks, if `uri` is that server's own address.

    What a person has put there wins. What was lent for one server is taken back before another is spoken to.
    """
    for name, value in _lent.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _lent.clear()
    if any(name in os.environ for name in VARIABLES):
        return
    known = read(project)
    if known is not None and _place(uri) is not None and _place(uri) == _place(known["uri"]):
        _lent.update({name: known[key] for name, key in VARIABLES.items()})
        os.environ.update(_lent)


def read(project: Project) -> dict[str, Any] | None:
    """uri, username and password; None if this project has no server. Raises BadInput if others could read them."""
    path = project / FILE
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None
    if mode & 0o077:
        raise BadInput(f"{path} has mode {mode:04o}: others may have read the password; allowed: 0600")
    try:
        known: dict[str, Any] = json.loads(path.read_text())
        return {key: str(known[key]) for key in ("uri", *VARIABLES.values())}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({type(error).__name__}); allowed: what piecewise server wrote") from error


def _place(uri: str) -> int | None:
    """The port of an address on this machine; None for every other one."""
    try:
        parts = urlsplit(uri)
        return parts.port if parts.scheme == "http" and parts.hostname in LOOPBACK else None
    except ValueError:
        return None
