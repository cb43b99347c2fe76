"""The table of the pipeline's results: what each experiment reached, and what was expected of it."""

from __future__ import annotations

from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments


def main(root: Path, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("summary", __doc__)
    parser.add_argument("--markdown", action="store_true", help="as the README has it")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.report.results import collect, markdown_table, text_table

    if asked.markdown:
        print(markdown_table(collect(root)))
        return 0
    print(text_table(collect(root)))
    terminal.say()
    for line in terminal.columns([("report", str(root / "report" / "index.html")), ("MLflow", "piecewise ui")]):
        terminal.say(line)
    return 0
