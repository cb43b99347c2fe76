"""The run key names an experiment's result before anything is trained."""

from collections.abc import Sequence
from typing import Any

from piecewise.data.spec import DataSource
from piecewise.jobs.build import build_data
from piecewise.jobs.config import DataConfig
from piecewise.jobs.digests import canonical, canonical_digest
from piecewise.jobs.job import Job
from piecewise.jobs.provenance import lock_digest
from piecewise.jobs.source import source_digest


def run_key(job: Job, data_digest: str, source: str, lock: str) -> str:
    """SHA-256 of the job, the data it reads, the source it runs and the lock of its environment, each by its digest."""
    return canonical_digest([job.digest, data_digest, source, lock])


def run_keys(jobs: Sequence[Job]) -> list[str]:
    """The run key of each job. Data that several jobs share are read once, and so is the lock."""
    data: dict[str, str] = {}
    lock = lock_digest()
    keys = []
    for job in jobs:
        content = canonical(job.frozen["data"])
        if content not in data:
            data[content] = build_data(job.config.data).digest("train")
        keys.append(run_key(job, data[content], source_digest("train", job.frozen), lock))
    return keys


def identify(job: Job, source: DataSource, known: dict[str, str] | None = None) -> dict[str, Any]:
    """What a journal's first record says of the result that a job will have: run key, digests, training data.

    `known` has the digests of the source and the lock, if they were computed before.
    """
    inputs = {"training": describe_input(source, job.config.data, "train")}
    code = known or {"source": source_digest("train", job.frozen), "lock": lock_digest()}
    digests = {"data": inputs["training"]["digest"], "source": code["source"], "lock": code["lock"]}
    key = run_key(job, digests["data"], digests["source"], digests["lock"])
    return {"job_digest": job.digest, "run_key": key, "digests": digests, "inputs": inputs}


def describe_input(source: DataSource, config: DataConfig, part: str) -> dict[str, Any]:
    """Name, digest, folder and size of the part "train" or "test" of a data set, as MLflow shows an input."""
    spec = source.spec()
    count = spec.num_train if part == "train" else spec.num_test
    profile = {"num_examples": count, "input_shape": list(spec.input_shape)}
    return {"name": spec.name, "digest": source.digest(part), "source": config.location, "profile": profile}
