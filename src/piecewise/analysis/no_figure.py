"""Why a sweep has no figure, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from piecewise.analysis.compare import main_metric
from piecewise.analysis.member import SEED, Member
from piecewise.jobs.job import Job


def why_no_figure(jobs: Sequence[Job], members: Iterable[Member]) -> str | None:
    """None if nothing stands in its way. `members` are the same jobs with their metrics."""
    if not _differ(jobs):
        return "none: only seeds vary, and a figure needs another key"
    measured = [member for member in members if member.metrics]
    if len(measured) < 2:
        found = "one job has" if measured else "no job has"
        cause = "" if any(job.config.evaluate for job in jobs) else ", because of evaluate=false"
        return f"none: {found} test metrics{cause}; a figure needs two jobs"
    metric = main_metric(measured)
    if metric is None:
        return "none: the jobs share no test metric that means the same for all of them"
    if not _differ([member.job for member in measured if metric in member.metrics]):
        return "none: the jobs that have test metrics differ only in their seeds"
    return None


def _differ(jobs: Iterable[Job]) -> bool:
    """Whether the jobs differ in more than their seeds, so that a figure can show a metric over a key."""
    return len({(job.name, job.label_without(SEED)) for job in jobs}) > 1
