"""The results of the pipeline: each group's metrics over its seeds, and whether they meet the expectations."""

from dataclasses import dataclass, fields
from typing import Any

from piecewise import terminal
from piecewise.durable import read_json
from piecewise.errors import BadInput, PiecewiseError
from piecewise.jobs.config import About
from piecewise.jobs.expectations import expectations
from piecewise.project import Project
from piecewise.report.judge import Row, Verdict, judge
from piecewise.report.runs import Group, group_runs, read_runs


@dataclass(frozen=True)
class Result:
    """The runs of one experiment and their metrics. An experiment that has not run yet has no groups."""

    name: str
    about: About
    groups: list[Group]
    rows: list[Row]  # one for each pair of an expectation and a group that it applies to

    @property
    def numbers(self) -> list[Row]:
        """A row for every metric of every group; rows with an expectation come first."""
        expected = {(row.label, row.metric) for row in self.rows}
        others = [
            Row(self.name, group.label, metric, group.values(metric))
            for group in self.groups
            for metric in group.metrics
            if (group.label, metric) not in expected
        ]
        return [*self.rows, *others]


def collect(project: Project) -> list[Result]:
    """The results of all experiments, also of those without any. Raises PiecewiseError if none has been composed."""
    path = project.build / "about.json"
    abouts = read_json(path) if path.is_file() else {}
    if not abouts:
        raise PiecewiseError(f"{path} lists no experiments; dvc repro makes it, and the results")
    return [_result(name, about) for name, about in sorted(abouts.items())]


def _result(name: str, content: dict[str, Any]) -> Result:
    """An experiment that could not be composed has no groups, and one row with the error."""
    about = About(**{field.name: content[field.name] for field in fields(About) if field.name in content})
    try:
        if "error" in content:
            raise BadInput(content["error"])
        expected = expectations(content)
    except BadInput as error:
        reason = f"cannot be composed: {error}"
        return Result(name, about, [], [Row(name, "", "", [], "", Verdict.UNDECIDED, reason)])
    groups = group_runs(read_runs(name))
    return Result(name, about, groups, [row for item in expected for row in judge(name, item, groups)])


def not_met(results: list[Result]) -> list[Row]:
    """The rows whose expectation is not met or undecided."""
    return [row for result in results for row in result.rows if row.verdict is not Verdict.MET]


def markdown_table(results: list[Result]) -> str:
    """The table for the README: expected bounds beside means and standard deviations over n seeds."""
    lines = ["| experiment | metric | expected | found | n |", "|---|---|---|---|---|"]
    for row in (row for result in results for row in result.rows):
        name = f"`{row.experiment}`" + (f" {row.label}" if row.label else "")
        spread = "" if row.spread is None else f" ± {row.spread:.1g}"
        found = [f"{row.mean:.4g}{spread}"] if row.values else []
        if row.verdict is not Verdict.MET:
            found.append(row.judgement)
        lines.append(f"| {name} | `{row.metric}` | {row.bound} | {'; '.join(found)} | {len(row.values)} |")
    return "\n".join(lines)


def text_table(results: list[Result]) -> str:
    """The table for a terminal."""
    rows = [("experiment", "", "metric", "mean", "±", "n", "expected", "")]
    for result in results:
        for row in result.rows:
            spread = "" if row.spread is None else f"{row.spread:.2g}"
            found = (f"{row.mean:.5g}" if row.values else "", spread, str(len(row.values)))
            rows.append((row.experiment, row.label, row.metric, *found, row.bound, row.judgement))
        if not result.rows:
            count = str(sum(len(group.runs) for group in result.groups))
            rows.append((result.name, "", "", "", "", count, "nothing", ""))
    return terminal.table(rows)
