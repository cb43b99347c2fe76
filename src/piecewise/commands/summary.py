"""The table of the pipeline's results: what each experiment reached, and what was expected of it."""

from __future__ import annotations

from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments


def main(root: Path, started_in: Path, arguments: list[str]) -> int:
    if Arguments("summary", __doc__).read(arguments) is None:
        return 0
    from piecewise.report.results import collect, text_table

    print(text_table(collect(root)))
    terminal.say()
    for line in terminal.columns([("report", str(root / "report" / "index.html")), ("MLflow", "piecewise ui")]):
        terminal.say(line)
    return 0
