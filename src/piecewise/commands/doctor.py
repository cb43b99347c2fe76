"""Check this installation and this project, and print a remedy for each fault. Nothing is changed.

The exit code is 1 if there is a fault. A note needs no action.
"""

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.health.findings import Finding, Level
from piecewise.project import Project

COLOURS = {"ok": "green", "note": "yellow", "fault": "red"}


def main(project: Project, arguments: Arguments) -> int:
    arguments.read()
    from piecewise.health.checks import CHECKS

    found = [(check.name, finding) for check in CHECKS for finding in check.findings(project)]
    print(terminal.table([row for name, finding in found for row in _rows(name, finding)]))
    num_faults = sum(finding.level is Level.FAULT for _, finding in found)
    if num_faults:
        terminal.say(f"\n{num_faults} fault{'s' if num_faults > 1 else ''}; the remedies are for {project}")
    return 1 if num_faults else 0


def _rows(name: str, finding: Finding) -> list[tuple[str, str, str]]:
    """A row for the finding, and one below it for its remedy, if any."""
    rows = [(terminal.paint(finding.level, COLOURS[finding.level]), name, finding.what)]
    if finding.remedy:
        rows.append(("", "", f"remedy: {finding.remedy}"))
    return rows
