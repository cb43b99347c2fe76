"""Draw the pipeline's figures and write report/index.html from existing results. Nothing is trained."""

from piecewise.commands.arguments import Arguments
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> None:
    arguments.read()
    from piecewise.report.page import write_report

    print(write_report(project))
