"""Check what an experiment expects against the jobs that it plans."""

from collections.abc import Mapping, Sequence
from typing import Any

from piecewise.analysis.evaluate import metric_names
from piecewise.errors import BadInput, nearest
from piecewise.jobs.build import build_parts
from piecewise.jobs.digests import canonical
from piecewise.jobs.expectations import MISSING, Expectation, value_of
from piecewise.jobs.job import Job
from piecewise.planning.hydra_settings import leaves

GROUPS = ("data", "model", "loss")  # what decides which metrics a job has


def check_expectations(expected: Sequence[Expectation], jobs: Sequence[Job]) -> None:
    """Raises BadInput for an expectation that no job of the experiment can decide: a metric or a key that none has, or
    values in `when` that none has."""
    for item in expected:
        where = f"about.expected of {item.metric}"
        for key in item.when:
            if all(value_of(job.frozen, key) is MISSING for job in jobs):
                keys = {key for job in jobs for key, _ in leaves(job.frozen) if not key.startswith("about.")}
                raise BadInput(f"{where}: when has {key}, which no job has; {nearest(key, keys)}")
        meant = [job for job in jobs if item.applies_to(job.frozen)]
        if not meant:
            raise BadInput(f"{where}: no job has {item.condition}; {_values(item.when, jobs)}")
        known = _metrics(meant)
        if item.metric not in known:
            raise BadInput(f"about.expected has metric={item.metric}; {nearest(item.metric, known)}")


def _values(when: Mapping[str, Any], jobs: Sequence[Job]) -> str:
    """The values that the jobs have."""
    found = {key: dict.fromkeys(str(value_of(job.frozen, key)) for job in jobs) for key in when}
    return "; ".join(f"{key} is {' or '.join(values)}" for key, values in found.items())


def _metrics(jobs: Sequence[Job]) -> set[str]:
    distinct = {canonical([job.frozen[group] for group in GROUPS]): job for job in jobs}
    return {name for job in distinct.values() for name in metric_names(build_parts(job.config, device="meta"))}
