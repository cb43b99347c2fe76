"""Run an MLflow server on this machine until Ctrl-C, with PostgreSQL for runs and an S3 store for artifacts."""

from piecewise.commands.arguments import Arguments
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_argument("--port", type=int, default=5001, help="default 5001; 0 takes a free port")
    arguments.add_argument("--stop", action="store_true", help="stop the server that runs")
    asked = arguments.read()
    from piecewise.server.keeper import run_server, stop_server

    if asked.stop:
        stop_server(project)
    else:
        run_server(project, asked.port)
