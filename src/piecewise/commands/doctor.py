"""Find what is wrong with this installation and this project, and say the remedy. Nothing is changed.

A fault makes the exit code 1. A note asks for nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.health.findings import Finding

COLOURS = {"ok": "green", "note": "yellow", "fault": "red"}


def main(project: Project, started_in: Path, arguments: list[str]) -> int:
    if Arguments("doctor", __doc__).read(arguments) is None:
        return 0
    from piecewise.health.checks import CHECKS
    from piecewise.health.findings import Level, diagnose

    found = diagnose(project, CHECKS)
    print(terminal.table([row for name, finding in found for row in _rows(name, finding)]))
    num_faults = sum(finding.level is Level.FAULT for _, finding in found)
    if num_faults:
        terminal.say(f"\n{num_faults} fault{'s' if num_faults > 1 else ''}; the commands are meant for {project}")
    return 1 if num_faults else 0


def _rows(name: str, finding: Finding) -> list[tuple[str, str, str]]:
    """A line that names what is the case and, if there is a remedy, one below it."""
    rows = [(terminal.paint(finding.level, COLOURS[finding.level]), name, finding.what)]
    if finding.remedy:
        rows.append(("", "", f"remedy: {finding.remedy}"))
    return rows
