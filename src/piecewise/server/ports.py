"""Ports of this machine that nobody listens to."""

from __future__ import annotations

import contextlib
import socket

from piecewise.errors import BadInput

HOST = "127.0.0.1"


def free_port(port: int) -> int:
    """`port` if nobody listens there, and a free one for 0. MLflow itself would end with exit code 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise BadInput(
                f"--port={port} cannot be used ({error}); allowed: a free one, or 0 to have one chosen"
            ) from error
        return int(probe.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """Different ones: all are held until the last is known."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
