from __future__ import annotations

import socket

import pytest

from piecewise.errors import BadInput
from piecewise.server.service import HOST, free_port, free_ports


def test_a_free_port_is_returned_and_zero_chooses_one() -> None:
    chosen = free_port(0)
    assert chosen > 1023
    assert free_port(chosen) == chosen


@pytest.mark.parametrize("port", [-1, 65_536])
def test_an_impossible_port_is_bad_input(port: int) -> None:
    with pytest.raises(BadInput, match=rf"--port={port} cannot be used \(.+\); allowed: a free one, or 0"):
        free_port(port)


def test_a_taken_port_is_named_in_the_error() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BadInput, match=rf"--port={port} cannot be used \(.*in use\)"):
            free_port(port)
    assert free_port(port) == port


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(20))) == 20
