"""The server that the slow tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browsing import browser
from piecewise.project import Project
from running_server import Server, make_server, remove

__all__ = ["browser"]


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove the credentials of MLflow's client from the environment before and after each test."""
    from piecewise.tracking.store import credentials

    for name in credentials.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    credentials.lend("", Project(Path("/nowhere")))


@pytest.fixture(scope="session")
def server(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server. The environment it was started from holds a secret, which its services must not get."""
    server = make_server(tmp_path_factory.mktemp("server"))
    server.environment["CANARY"] = "canary-0815-hush"
    try:
        server.start()
        yield server
    finally:
        if server.keeper is not None:
            server.stop()
        remove(server)
