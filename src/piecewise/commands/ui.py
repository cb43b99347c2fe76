"""Open MLflow's pages for this project, on this machine only, until Ctrl-C."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.errors import BadInput

HOST = "127.0.0.1"
PORT = 5000


def main(root: Path, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("ui", __doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"{PORT} unless told otherwise; 0 takes a free one")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.tracking.store import EMBEDDED, PRIVATE

    if not (root / "mlflow.db").is_file():
        raise BadInput(f"{root} has no mlflow.db yet; piecewise train or dvc repro makes it, piecewise sync mends it")
    port = _free(asked.port)
    address = f"http://{HOST}:{port}"
    terminal.say(f"MLflow   {terminal.paint(address, 'cyan')}\nCtrl-C ends it")
    server = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", EMBEDDED, "--host", HOST]
    os.execve(sys.executable, [*server, "--port", str(port)], {**os.environ, **PRIVATE})


def _free(port: int) -> int:
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
