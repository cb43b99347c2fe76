"""Open MLflow's pages for this project, on this machine only, until Ctrl-C."""

from piecewise.commands.arguments import Arguments
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_argument("run", metavar="RUN", nargs="?", help="the run to show; default: the list of experiments")
    arguments.add_argument("--port", type=int, default=5000, help="default 5000; 0 takes a free port")
    asked = arguments.read()
    from piecewise.server.embedded_ui import serve_pages

    serve_pages(project, asked.port, asked.run)
