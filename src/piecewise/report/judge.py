"""Judge what an experiment expects by what its runs have reached."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from piecewise.jobs.expectations import Expectation
from piecewise.report.runs import Group, Run


class Verdict(StrEnum):
    MET = "as expected"
    NOT_MET = "NOT as expected"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Row:
    """One metric of one group of runs that differ by their seed alone, and what is expected of its mean."""

    experiment: str
    label: str
    metric: str
    values: list[float]  # one for each seed
    bound: str = ""
    verdict: Verdict | None = None  # None if nothing is expected
    reason: str = ""  # why it is undecided

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds; None for a single run."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def judgement(self) -> str:
        """The verdict in words. One seed is named, since its value may be far from the mean over seeds."""
        if self.verdict is None:
            return ""
        note = self.reason or ("1 seed" if len(self.values) == 1 else "")
        return f"{self.verdict}: {note}" if note else str(self.verdict)


def judge(experiment: str, expectation: Expectation, groups: Sequence[Group]) -> list[Row]:
    """The expectation judged on each group that meets its `when`: whether the mean over the seeds is within the bounds.

    It is undecided if there is no such group, or if a run of the group lacks the metric.
    """
    found = []
    for group in groups:
        runs = [run for run in group.runs if expectation.applies_to(run.job.frozen)]
        if runs:
            found.append(_judged(experiment, expectation, group.label, runs))
    if found:
        return found
    reason = f"no run has {expectation.condition}" if groups else "no results yet"
    label = "" if groups else expectation.condition  # which runs are meant
    return [Row(experiment, label, expectation.metric, [], expectation.bound, Verdict.UNDECIDED, reason)]


def _judged(experiment: str, expectation: Expectation, label: str, runs: Sequence[Run]) -> Row:
    values = [run.metrics[expectation.metric] for run in runs if expectation.metric in run.metrics]
    missing, reason = len(runs) - len(values), ""
    if missing:
        verdict, reason = Verdict.UNDECIDED, f"{missing} of {len(runs)} runs lack this metric"
    else:
        verdict = Verdict.MET if expectation.is_met_by(statistics.fmean(values)) else Verdict.NOT_MET
    return Row(experiment, label, expectation.metric, values, expectation.bound, verdict, reason)
