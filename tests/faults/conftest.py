"""A real MLflow server and a proxy in front of it, and commands that start at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import Proxy, RealServer
from warm_commands import WarmCommands


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    server = RealServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def proxy(real: RealServer) -> Iterator[Proxy]:
    proxy = Proxy(real.port)
    yield proxy
    proxy.shutdown()
    proxy.server_close()


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    commands = WarmCommands(tmp_path_factory.mktemp("commands"))
    yield commands
    commands.close()
