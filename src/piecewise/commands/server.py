"""Run an MLflow server on this machine until Ctrl-C, with PostgreSQL for runs and an S3 store for artifacts."""

from __future__ import annotations

from pathlib import Path

from piecewise.commands.arguments import Arguments
from piecewise.project import Project

PORT = 5001


def main(project: Project, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("server", __doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0 takes a free port")
    parser.add_argument("--stop", action="store_true", help="stop the server that runs")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.server.keeper import run_server, stop_server

    if asked.stop:
        stop_server(project)
    else:
        run_server(project, asked.port)
    return 0
