"""Free TCP ports of this machine."""

from __future__ import annotations

import contextlib
import socket

from piecewise.errors import BadInput

HOST = "127.0.0.1"


def free_port(port: int) -> int:
    """`port`, or any free port for 0. Raises BadInput if it is taken, where MLflow would end with exit code 0."""
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
    """`count` different free ports."""
    with contextlib.ExitStack() as open_sockets:  # all stay open until the last port is known, so that none repeats
        probes = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
