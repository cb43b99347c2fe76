"""Print a table of the pipeline's results: what each experiment reached, and what was expected.

The mean over the seeds is compared with the bounds. An expectation is undecided if results or the metric are missing.
"""

import re
from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.durable import write_atomic
from piecewise.errors import BadInput
from piecewise.project import Project

# The text between two comments, which stay.
TABLE = re.compile(r"^(<!-- results:.*?-->\n).*?(?=^<!-- end of results -->$)", re.DOTALL | re.MULTILINE)


def main(project: Project, arguments: Arguments) -> int:
    arguments.add_argument("--markdown", action="store_true", help="print the README's table")
    arguments.add_argument("--readme", action="store_true", help="write the table into the README")
    arguments.add_argument(
        "--strict", action="store_true", help="exit with 1 if an expectation is not met or undecided"
    )
    asked = arguments.read()
    from piecewise.report.results import collect, markdown_table, not_met, text_table

    results = collect(project)
    if asked.markdown:
        print(markdown_table(results))
    elif asked.readme:
        _write_readme(project / "README.md", markdown_table(results))
    else:
        print(text_table(results))
        page = project.report / "index.html"
        rows = [("report", str(page) if page.is_file() else "piecewise report"), ("MLflow", "piecewise ui")]
        terminal.say(f"\n{terminal.table(rows)}")
    return int(asked.strict and bool(not_met(results)))


def _write_readme(path: Path, table: str) -> None:
    old = path.read_text("utf-8") if path.is_file() else ""
    if not TABLE.search(old):
        raise BadInput(f"{path} has no place for the table: it needs <!-- results: … --> and <!-- end of results -->")
    write_atomic(path, TABLE.sub(lambda place: f"{place[1]}{table.rstrip()}\n", old).encode())
