"""One server that the slow tests share, and the programs that it is made of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from browsing import browser
from running_server import Server, make_server, remove
from small_project import ROOT

__all__ = ["browser"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is lent to MLflow's client does not reach the next test."""
    from piecewise.tracking import credentials

    for name in credentials.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    credentials.lend("", Path("/nowhere"))


@pytest.fixture(scope="session")
def programs() -> Path:
    """`make server` installs them, once for a checkout."""
    if not any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        assert "CI" not in os.environ, "in CI the server always runs: install postgresql"
        pytest.skip("no PostgreSQL is installed")
    made = subprocess.run(["make", "-C", ROOT, ".venv/server/.ready"], capture_output=True, text=True, check=False)
    if made.returncode:
        assert "CI" not in os.environ, made.stderr
        pytest.skip(f"the packages of docker/server.lock could not be installed: {made.stderr.splitlines()[-1]}")
    return ROOT / ".venv" / "server"


@pytest.fixture(scope="session")
def server(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It runs, and a secret that is none of its business is in the environment of whoever has started it."""
    server = make_server(tmp_path_factory.mktemp("server"))
    server.environment["CANARY"] = "canary-0815-hush"
    try:
        server.start()
        yield server
    finally:
        if server.keeper is not None:
            server.stop()
        remove(server)
