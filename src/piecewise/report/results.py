"""The results of the pipeline, experiment by experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from piecewise.durable import read_json
from piecewise.project import Project
from piecewise.report.rows import Row, expected_rows, other_rows
from piecewise.report.runs import Group, group_runs, read_runs


@dataclass(frozen=True)
class Result:
    """The runs of one experiment and their numbers."""

    name: str
    about: dict[str, Any]
    groups: list[Group]
    rows: list[Row]  # one for each expectation and group

    @property
    def numbers(self) -> list[Row]:
        """Every metric of every group; those with an expectation come first."""
        return [*self.rows, *other_rows(self.name, self.groups, self.rows)]


def collect(project: Project) -> list[Result]:
    """The results of all experiments that have evaluated runs."""
    path = project.build / "about.json"
    results = []
    for name, about in sorted(read_json(path).items() if path.is_file() else ()):
        groups = group_runs(name, read_runs(name))
        if groups:
            results.append(Result(name, about, groups, list(expected_rows(name, about, groups))))
    return results
