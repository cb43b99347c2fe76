"""The jobs of a sweep, for those who compare them."""

from __future__ import annotations

from dataclasses import dataclass

from piecewise.jobs.job import Job

SEED = "seed"


@dataclass(frozen=True)
class Member:
    """A job of a sweep and its test metrics."""

    job: Job
    metrics: dict[str, float]

    @property
    def options(self) -> dict[str, str]:
        """The values that may vary in a sweep, by key. Labels leave out the experiment, which is the job's name."""
        return {"experiment": self.job.name, **self.job.values}
