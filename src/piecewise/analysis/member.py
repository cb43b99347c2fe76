"""The jobs of a sweep, for those who compare them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from piecewise.jobs.job import Job

SEED = "seed"


@dataclass(frozen=True)
class Member:
    """A job of a sweep and its test metrics; a job that was not evaluated has none."""

    job: Job
    metrics: dict[str, float]
    val_nll: float | None = field(default=None, kw_only=True)  # of the selected weights
    state: str = field(default="FINISHED", kw_only=True)  # or FAILED, KILLED; empty if it has not ended

    @cached_property
    def measured(self) -> dict[str, float]:
        """`val/nll`, by which the best job is chosen, and the test metrics, as far as they are known."""
        return ({} if self.val_nll is None else {"val/nll": self.val_nll}) | self.metrics

    @cached_property
    def options(self) -> dict[str, str]:
        """The values that may vary in a sweep, by key. Labels leave out the experiment, which is the job's name."""
        return {"experiment": self.job.name, **self.job.values}
