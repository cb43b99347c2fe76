"""The numbers of each group of runs, and whether they meet the experiment's expectations."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from piecewise.report.runs import Group


@dataclass(frozen=True)
class Row:
    """One metric of one group, and its expected bound."""

    experiment: str
    label: str
    metric: str
    values: list[float]  # one for each seed
    bound: str  # empty without an expectation
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


def expected_rows(experiment: str, about: dict[str, Any], groups: list[Group]) -> Iterator[Row]:
    """A row for each expectation in `about` and each group whose configuration meets its `when`."""
    for expectation in about.get("expected", []):
        for group in groups:
            if _applies(expectation.get("when", {}), group.runs[0].job.frozen):
                yield _expected_row(experiment, expectation, group)


def other_rows(experiment: str, groups: list[Group], rows: list[Row]) -> Iterator[Row]:
    """A row for each metric of each group that `rows` does not have."""
    known = {(row.label, row.metric) for row in rows}
    for group in groups:
        for metric in sorted(group.runs[0].metrics):
            if (group.label, metric) not in known:
                yield Row(experiment, group.label, metric, group.values(metric), "", True)


def _applies(when: dict[str, Any], config: dict[str, Any]) -> bool:
    for key, wanted in when.items():
        value: Any = config
        for part in key.split("."):
            value = value[part]
        if value != wanted:
            return False
    return True


def _expected_row(experiment: str, expectation: dict[str, Any], group: Group) -> Row:
    metric = expectation["metric"]
    least, most = expectation.get("at_least", -math.inf), expectation.get("at_most", math.inf)
    bound = f"≥ {least:g}" if math.isinf(most) else f"≤ {most:g}"
    is_met = least <= group.mean(metric) <= most
    return Row(experiment, group.label, metric, group.values(metric), bound, is_met)
