"""Only a server that gives no answer is unreachable; an error is an answer."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from piecewise.errors import TryAgain
from piecewise.tracking.store.errors import UNKNOWN_HOST, UNREACHABLE
from piecewise.tracking.sync import waiting
from piecewise.tracking.sync.waiting import check_answers
from servers import BEHAVIOURS, Proxy, free_port

SILENT = {"refuses", "resets", "stalls"}


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_only_a_silent_server_is_unreachable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TIMEOUT_SECONDS", 0.3)
    proxy = Proxy(free_port())
    proxy.behaviour = BEHAVIOURS[name]
    began = time.monotonic()
    if name in SILENT:
        with pytest.raises(TryAgain, match="cannot be reached"):
            check_answers(proxy.address)
    else:
        check_answers(proxy.address)
    proxy.shutdown()
    proxy.server_close()
    assert time.monotonic() - began < 3


def test_a_closed_port_and_an_unknown_host_are_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TryAgain) as raised:
        check_answers(f"http://127.0.0.1:{free_port()}")
    assert str(raised.value) == UNREACHABLE

    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(TryAgain) as raised:
        check_answers("http://nobody.invalid:5000")
    assert str(raised.value) == UNKNOWN_HOST


@pytest.mark.parametrize(
    ("variables", "is_checked"),
    [
        ({"ALL_PROXY": "socks5h://127.0.0.1:9"}, False),
        ({"http_proxy": "http://127.0.0.1:9"}, False),
        ({"https_proxy": "http://127.0.0.1:9"}, True),  # for other addresses
        ({"no_proxy": "localhost"}, True),
        ({"NO_PROXY": "*"}, True),
        ({"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}, True),
        ({"all_proxy": "http://127.0.0.1:9", "no_proxy": "example.org,127.0.0.1"}, True),
        ({"http_proxy": "http://127.0.0.1:9", "no_proxy": "example.org"}, False),
    ],
)
def test_nothing_is_checked_behind_a_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], is_checked: bool
) -> None:
    for name in ("all", "http", "https", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TryAgain) if is_checked else contextlib.nullcontext():
        check_answers(f"http://127.0.0.1:{free_port()}")


def test_an_embedded_store_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("asked"))
    check_answers("sqlite:///mlflow.db")
