"""Draw the pipeline's figures and write report/index.html from existing results. Nothing is trained."""

from __future__ import annotations

from pathlib import Path

from piecewise.commands.arguments import Arguments
from piecewise.project import Project


def main(project: Project, started_in: Path, arguments: list[str]) -> int:
    if Arguments("report", __doc__).read(arguments) is None:
        return 0
    from piecewise.report.page import write_report

    print(write_report(project))
    return 0
