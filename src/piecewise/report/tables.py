"""The table of results, for the README and for a terminal."""

from __future__ import annotations

from piecewise import terminal
from piecewise.report.results import Result


def markdown_table(results: list[Result]) -> str:
    """The table for the README: expected bounds beside means and standard deviations over n seeds."""
    lines = ["| experiment | metric | expected | found | n |", "|---|---|---|---|---|"]
    for row in (row for result in results for row in result.rows):
        name = f"`{row.experiment}`" + (f" {row.label}" if row.label else "")
        spread = "" if row.spread is None else f" ± {row.spread:.1g}"
        lines.append(f"| {name} | `{row.metric}` | {row.bound} | {row.mean:.4g}{spread} | {row.count} |")
    return "\n".join(lines)


def text_table(results: list[Result]) -> str:
    """The table for a terminal."""
    rows = [("experiment", "", "metric", "mean", "±", "n", "expected", "")]
    for row in (row for result in results for row in result.rows):
        spread = "" if row.spread is None else f"{row.spread:.2g}"
        verdict = "as expected" if row.is_met else "NOT as expected"
        found = (f"{row.mean:.5g}", spread, str(row.count))
        rows.append((row.experiment, row.label, row.metric, *found, row.bound, verdict))
    return terminal.table(rows)
