"""The results of the pipeline: each experiment's numbers over its seeds, and whether they are as expected."""

from __future__ import annotations

import math
import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise.durable import read_json
from piecewise.jobs.job import Job, read_job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project


@dataclass(frozen=True)
class Run:
    """One evaluated job of the pipeline."""

    job: Job
    folder: RunFolder
    metrics: dict[str, float]
    result: dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed alone."""

    label: str
    runs: list[Run]

    def values(self, metric: str) -> list[float]:
        return [run.metrics[metric] for run in self.runs if metric in run.metrics]

    def mean(self, metric: str) -> float:
        return statistics.fmean(self.values(metric))


@dataclass(frozen=True)
class Row:
    """One line of the table: a group's number beside what was expected of it."""

    experiment: str
    label: str
    metric: str
    values: list[float]  # one for each seed
    bound: str  # empty if nothing was expected
    is_met: bool

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds; None for a single run."""
        return statistics.stdev(self.values) if self.count > 1 else None

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


@dataclass(frozen=True)
class Result:
    """Everything the pipeline found about one experiment."""

    name: str
    about: dict[str, Any]
    groups: list[Group]
    rows: list[Row]  # of what was expected

    @property
    def numbers(self) -> list[Row]:
        """Every metric of every group, what was expected of it first."""
        known = {(row.label, row.metric) for row in self.rows}
        metrics = [(group, metric) for group in self.groups for metric in sorted(group.runs[0].metrics)]
        others = [
            Row(self.name, group.label, metric, group.values(metric), "", True)
            for group, metric in metrics
            if (group.label, metric) not in known
        ]
        return [*self.rows, *others]


def collect(project: Project) -> list[Result]:
    """The results that exist below `root`, experiment by experiment."""
    path = project.build / "about.json"
    results = []
    for name, about in sorted(read_json(path).items() if path.is_file() else ()):
        groups = group_runs(name, read_runs(name))
        if groups:
            results.append(Result(name, about, groups, _rows(name, about, groups)))
    return results


def read_runs(experiment: str) -> list[Run]:
    """The evaluated runs of one experiment."""
    runs = []
    for path in sorted(Path("results/evaluate", experiment).glob("*/metrics.json"), key=_by_number):
        folder = RunFolder.of_stage(experiment, path.parent.name)
        runs.append(Run(read_job(folder.job), folder, read_json(folder.metrics), read_json(folder.result)))
    return runs


def _by_number(path: Path) -> list[tuple[float, str]]:
    """3 before 20: what a label says in digits counts as a number."""
    words = re.findall(r"\d+(?:\.\d+)?|\D+", path.parent.name)
    return [(float(word), "") if word[0].isdigit() else (-1.0, word) for word in words]


def group_runs(experiment: str, runs: list[Run]) -> list[Group]:
    """Runs put together by their label without its seed."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        label = ",".join(f"{key}={value}" for key, value in run.job.overrides.items() if key != "seed")
        groups.setdefault(label, []).append(run)
    return [Group(label, members) for label, members in groups.items()]


def _rows(name: str, about: dict[str, Any], groups: list[Group]) -> list[Row]:
    rows = []
    for expectation in about.get("expected", []):
        for group in groups:
            if _applies(expectation.get("when", {}), group.runs[0].job.frozen):
                rows.append(_row(name, expectation, group))
    return rows


def _applies(when: dict[str, Any], config: dict[str, Any]) -> bool:
    for key, wanted in when.items():
        value: Any = config
        for part in key.split("."):
            value = value[part]
        if value != wanted:
            return False
    return True


def _row(name: str, expectation: dict[str, Any], group: Group) -> Row:
    metric = expectation["metric"]
    mean = group.mean(metric)
    least, most = expectation.get("at_least", -math.inf), expectation.get("at_most", math.inf)
    bound = f"≥ {least:g}" if math.isinf(most) else f"≤ {most:g}"
    is_met = least <= mean <= most
    return Row(name, group.label, metric, group.values(metric), bound, is_met)


def markdown_table(results: list[Result]) -> str:
    """The table for the README: what was expected, and what was found."""
    lines = ["| experiment | metric | expected | found |", "|---|---|---|---|"]
    for row in (row for result in results for row in result.rows):
        name = f"`{row.experiment}`" + (f" {row.label}" if row.label else "")
        spread = "" if row.spread is None else f" ± {row.spread:.1g}"
        lines.append(f"| {name} | `{row.metric}` | {row.bound} | {row.mean:.4g}{spread} |")
    return "\n".join(lines)


def text_table(results: list[Result]) -> str:
    """The table for a terminal."""
    lines = [("experiment", "", "metric", "mean", "±", "n", "expected", "")]
    for result in results:
        for row in result.rows:
            spread = "" if row.spread is None else f"{row.spread:.2g}"
            verdict = "as expected" if row.is_met else "NOT as expected"
            lines.append(
                (
                    row.experiment,
                    row.label,
                    row.metric,
                    f"{row.mean:.5g}",
                    spread,
                    str(row.count),
                    row.bound,
                    verdict,
                )
            )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def stage_metrics(experiment: str) -> dict[str, Any]:
    """Means over seeds by metric, under the group's label if there are several: what `dvc metrics show` shows."""
    groups = group_runs(experiment, read_runs(experiment))
    means: dict[str, Any] = {
        group.label or "all": {metric: group.mean(metric) for metric in sorted(group.runs[0].metrics)}
        for group in groups
    }
    return means if len(means) > 1 else next(iter(means.values()))
