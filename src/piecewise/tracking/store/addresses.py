"""Where stores are. A job is frozen with the address of its server; the server may have another one meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from piecewise.durable import read_json, write_json
from piecewise.errors import BadInput, nearest
from piecewise.project import Project

STORES = ("sqlite", "http", "https")
SERVERS = STORES[1:]
FILE = Path("runs", ".servers.json")  # what runs were told, and where that is now


def check_address(uri: Any, name: str = "tracking.uri", allowed: Iterable[str] = STORES) -> None:
    """Raises BadInput for what is no address of a store, and for one with a secret in it."""
    parsed = urlsplit(str(uri))
    if parsed.scheme not in allowed:
        raise BadInput(f"{name}={uri!r} is no store; {nearest(parsed.scheme, allowed)}")
    if parsed.username or parsed.password or parsed.query:
        # Not shown: whatever stands there may be a secret, and would be written into every job.
        raise BadInput(
            f"{name} holds credentials or a query; allowed: the address alone, "
            "with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"
        )


def moves(project: Project) -> dict[str, str]:
    """Where servers are found today, by the address that runs know; only those that have another one now."""
    return read_json(project / FILE) if (project / FILE).is_file() else {}


def move(project: Project, old: str, new: str, meant: Iterable[str]) -> None:
    """Remember that the server at `old`, which runs are meant for, is at `new`. Raises BadInput."""
    known = moves(project)
    servers = {uri for uri in (*meant, *known.values()) if urlsplit(uri).scheme in SERVERS}
    if old not in servers:
        raise BadInput(f"--moved {old}: no run is meant for that server; {nearest(old, servers)}")
    check_address(new, "--moved", SERVERS)
    known = {told: new if now == old else now for told, now in known.items()} | {old: new}
    write_json(project / FILE, {told: now for told, now in known.items() if told != now})


def local_path(uri: str) -> Path | None:
    """The folder a store's address of artifacts means; None if it is not on this machine."""
    if uri.startswith("file:"):
        return Path(unquote(urlsplit(uri).path))
    return None if urlsplit(uri).scheme else Path(uri)  # a plain path, in which a % is a %
