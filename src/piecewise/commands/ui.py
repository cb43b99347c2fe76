"""Open MLflow's pages for this project, on this machine only, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path

from piecewise.commands.arguments import Arguments
from piecewise.project import Project

PORT = 5000


def main(project: Project, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("ui", __doc__)
    parser.add_argument("run", metavar="RUN", nargs="?", help="the run to show; default: the list of experiments")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0 takes a free port")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.server.embedded_ui import serve_pages

    serve_pages(project, asked.port, asked.run)
    return 0
