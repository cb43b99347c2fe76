"""The results of the pipeline: each group's metrics over its seeds, and whether they meet the expectations."""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import getitem
from typing import Any

from piecewise import terminal
from piecewise.durable import read_json
from piecewise.project import Project
from piecewise.report.runs import Group, group_runs, read_runs


@dataclass(frozen=True)
class Row:
    """One metric of one group of runs that differ by their seed alone, and the bound that its mean should meet."""

    experiment: str
    label: str
    metric: str
    values: list[float]  # one for each seed
    bound: str = ""  # empty if there is no expectation
    is_met: bool = True

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds; None for a single run."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Result:
    """The runs of one experiment and their metrics."""

    name: str
    about: dict[str, Any]
    groups: list[Group]
    rows: list[Row]  # one for each pair of an expectation and a group that it applies to

    @property
    def numbers(self) -> list[Row]:
        """A row for every metric of every group; rows with an expectation come first."""
        expected = {(row.label, row.metric) for row in self.rows}
        others = [
            Row(self.name, group.label, metric, group.values(metric))
            for group in self.groups
            for metric in sorted(group.runs[0].metrics)
            if (group.label, metric) not in expected
        ]
        return [*self.rows, *others]


def collect(project: Project) -> list[Result]:
    """The results of all experiments that have evaluated runs."""
    path = project.build / "about.json"
    results = []
    for name, about in sorted(read_json(path).items() if path.is_file() else ()):
        groups = group_runs(read_runs(name))
        if groups:
            results.append(Result(name, about, groups, list(_expected_rows(name, about, groups))))
    return results


def _expected_rows(experiment: str, about: dict[str, Any], groups: list[Group]) -> Iterator[Row]:
    """A row for each expectation in `about` and each group whose configuration meets its `when`."""
    for expectation, group in product(about.get("expected", []), groups):
        config, metric = group.runs[0].job.frozen, expectation["metric"]
        when = expectation.get("when", {}).items()
        if any(reduce(getitem, key.split("."), config) != wanted for key, wanted in when):
            continue
        least, most = expectation.get("at_least", -math.inf), expectation.get("at_most", math.inf)
        bound = f"≥ {least:g}" if math.isinf(most) else f"≤ {most:g}"
        is_met = least <= group.mean(metric) <= most
        yield Row(experiment, group.label, metric, group.values(metric), bound, is_met)


def markdown_table(results: list[Result]) -> str:
    """The table for the README: expected bounds beside means and standard deviations over n seeds."""
    lines = ["| experiment | metric | expected | found | n |", "|---|---|---|---|---|"]
    for row in (row for result in results for row in result.rows):
        name = f"`{row.experiment}`" + (f" {row.label}" if row.label else "")
        spread = "" if row.spread is None else f" ± {row.spread:.1g}"
        lines.append(f"| {name} | `{row.metric}` | {row.bound} | {row.mean:.4g}{spread} | {len(row.values)} |")
    return "\n".join(lines)


def text_table(results: list[Result]) -> str:
    """The table for a terminal."""
    rows = [("experiment", "", "metric", "mean", "±", "n", "expected", "")]
    for row in (row for result in results for row in result.rows):
        spread = "" if row.spread is None else f"{row.spread:.2g}"
        verdict = "as expected" if row.is_met else "NOT as expected"
        found = (f"{row.mean:.5g}", spread, str(len(row.values)))
        rows.append((row.experiment, row.label, row.metric, *found, row.bound, verdict))
    return terminal.table(rows)
