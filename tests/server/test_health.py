"""The questions that tell whether a service of the server is ready."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from piecewise.errors import PiecewiseError
from piecewise.server.credentials import Login
from piecewise.server.mlflow_service import is_healthy
from piecewise.server.seaweedfs import _is_ok
from servers import free_port

PASSWORD = "größe пароль"


class Service(ThreadingHTTPServer):
    """Answers 200 to the right password and 401 to any other; without a password it answers 200.

    The first `num_refused` questions are answered 401 whatever they bring.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []
        self.num_refused = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        expected = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        self.server.paths.append(self.path)
        is_refused = len(self.server.paths) <= self.server.num_refused
        is_known = self.headers.get("Authorization") in (None, expected)
        self.send_response(200 if is_known and not is_refused else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    threading.Thread(target=service.serve_forever, args=(0.05,), daemon=True).start()
    yield service
    service.shutdown()
    service.server_close()


@pytest.fixture(params=["HTTP_PROXY", "ALL_PROXY"])
def proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names a proxy that does not answer."""
    for name in (request.param, request.param.lower()):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")


@pytest.mark.usefixtures("proxy")
def test_services_are_asked_without_the_proxy_of_the_environment(service: Service) -> None:
    assert is_healthy(service.server_port, Login("admin", PASSWORD))
    assert len(service.paths) == 3
    assert _is_ok(f"http://127.0.0.1:{service.server_port}/healthz")


def test_a_passing_401_is_asked_again(service: Service) -> None:
    """MLflow answers so to the right password, too, if its database fails while it looks the user up."""
    service.num_refused = 2
    assert is_healthy(service.server_port, Login("admin", PASSWORD))
    assert len(service.paths) == 3 + 2


def test_another_password_is_named_and_a_closed_port_is_not_healthy(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piecewise.server.mlflow_service.REFUSED_SECONDS", 0.1)
    with pytest.raises(PiecewiseError, match=r"the password in .* is not the database's"):
        is_healthy(service.server_port, Login("admin", "another"))
    assert not is_healthy(free_port(), Login("admin", PASSWORD))
    assert not _is_ok(f"http://127.0.0.1:{free_port()}/healthz")
