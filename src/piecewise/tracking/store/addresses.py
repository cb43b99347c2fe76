"""Addresses of stores: which one a run belongs to, and where a server has moved whose address a job names."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from piecewise.durable import read_json, write_json
from piecewise.errors import BadInput, nearest
from piecewise.jobs.job import read_job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import STORE, Project

EMBEDDED = f"sqlite:///{STORE}"  # from the project's root
STORES = ("sqlite", "http", "https")
SERVERS = STORES[1:]


def database_address(path: Path) -> str:
    """The address of an SQLite file for SQLAlchemy, which reads `?` as the end of the path and decodes `%25` to `%`.

    It names the driver: for `sqlite:///` MLflow would make the folder of the address as it stands, not decoded.
    """
    return f"sqlite+pysqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}"


def is_database(address: str) -> bool:
    """Whether MLflow opens the store at this address itself: it is no server's."""
    return address.startswith("sqlite")


def check_address(uri: Any, name: str = "tracking.uri", allowed: Iterable[str] = STORES) -> None:
    """Raises BadInput for anything but a store's address, and for an address with a secret in it."""
    parsed = urlsplit(str(uri))
    if parsed.scheme not in allowed:
        raise BadInput(f"{name}={uri!r} is no store; {nearest(parsed.scheme, allowed)}")
    if parsed.username or parsed.password or parsed.query:
        # The address is not shown, because it may hold a secret.
        raise BadInput(
            f"{name} holds credentials or a query; allowed: the address alone, "
            "with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"
        )


def store_of(folder: RunFolder) -> str | None:
    """The store that the run's job names; None if it names none. Raises BadInput if the job is damaged."""
    # A sweep's parent has no job; its first child names the store.
    path = folder.job
    if not path.is_file():
        path = min(folder.training.parent.glob(f"*/{path.parent.name}/{path.name}"), default=path)
    return read_job(path).config.tracking.uri if path.is_file() else None


def named_stores(folders: Iterable[RunFolder]) -> Iterator[str]:
    """The stores that the runs name. Damaged jobs are left out."""
    for folder in folders:
        with contextlib.suppress(BadInput):
            yield from filter(None, [store_of(folder)])


def tracking_uri(project: Project) -> str | None:
    """The store of the pipeline's runs, as `compose` froze it; None if they are untracked."""
    path = project.build / "tracking.json"
    uri: str | None = read_json(path).get("uri") if path.is_file() else EMBEDDED
    return uri


def moved_servers(project: Project) -> dict[str, str]:
    """The present address of each server that moved, by the address that jobs name."""
    return read_json(_file(project)) if _file(project).is_file() else {}


def record_move(project: Project, old: str, new: str, job_uris: Iterable[str]) -> None:
    """Record that the server at `old` is now at `new`. Raises BadInput if `old` is neither in `job_uris` nor a move."""
    present = moved_servers(project)
    servers = {uri for uri in (*job_uris, *present.values()) if urlsplit(uri).scheme in SERVERS}
    if old not in servers:
        raise BadInput(f"--moved {old}: no run is meant for that server; {nearest(old, servers)}")
    check_address(new, "--moved", SERVERS)
    present = {named: new if now == old else now for named, now in present.items()} | {old: new}
    write_json(_file(project), {named: now for named, now in present.items() if named != now})


def local_path(uri: str) -> Path | None:
    """The local path that an artifact address means; None if it is not on this machine."""
    if uri.startswith("file:"):
        return Path(unquote(urlsplit(uri).path))
    return None if urlsplit(uri).scheme else Path(uri)  # in a plain path, % is literal


def _file(project: Project) -> Path:
    return project.runs / ".servers.json"
