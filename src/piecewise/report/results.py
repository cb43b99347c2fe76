"""The results of the pipeline: each experiment's numbers over its seeds, and whether they are as expected."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise.jobs.job import Job, read_job, read_json
from piecewise.journal.folder import RunFolder


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

    def spread(self, metric: str) -> float | None:
        """The standard deviation over seeds; None for a single run."""
        values = self.values(metric)
        return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Row:
    """One line of the table: a group's number beside what was expected of it."""

    experiment: str
    label: str
    metric: str
    mean: float
    spread: float | None
    count: int
    bound: str
    is_met: bool


@dataclass(frozen=True)
class Result:
    """Everything the pipeline found about one experiment."""

    name: str
    about: dict[str, Any]
    groups: list[Group]
    rows: list[Row]


def collect(root: Path) -> list[Result]:
    """The results that exist below `root`, experiment by experiment."""
    path = root / "build" / "about.json"
    results = []
    for name, about in sorted(read_json(path).items() if path.is_file() else ()):
        groups = group_runs(name, read_runs(name))
        if groups:
            results.append(Result(name, about, groups, _rows(name, about, groups)))
    return results


def read_runs(experiment: str) -> list[Run]:
    """The evaluated runs of one experiment."""
    runs = []
    for path in sorted(Path("results/evaluate", experiment).glob("*/metrics.json")):
        folder = RunFolder.of_stage(experiment, path.parent.name)
        runs.append(Run(read_job(folder.job), folder, read_json(folder.metrics), read_json(folder.result)))
    return runs


def group_runs(experiment: str, runs: list[Run]) -> list[Group]:
    """Runs put together by their label without its seed."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        label = ",".join(part for part in run.job.label.split(",") if not part.startswith("seed="))
        groups.setdefault(label, []).append(run)
    return [Group(label, members) for label, members in groups.items()]


def _rows(name: str, about: dict[str, Any], groups: list[Group]) -> list[Row]:
    rows = []
    for expectation in about.get("expected", []):
        for group in groups:
            if _applies(expectation.get("when", {}), group.runs[0].job.config):
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
    return Row(name, group.label, metric, mean, group.spread(metric), len(group.runs), bound, is_met)


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
