"""The run key names an experiment's result before anything is trained."""

from typing import Any

from piecewise.data.spec import DataSource
from piecewise.jobs.config import DataConfig
from piecewise.jobs.digests import canonical_digest
from piecewise.jobs.job import Job
from piecewise.jobs.provenance import lock_digest
from piecewise.jobs.source import source_digest


def run_key(job: Job, data_digest: str, source: str, lock: str) -> str:
    """SHA-256 of the job, the data it reads, the source it runs and the lock of its environment, each by its digest."""
    return canonical_digest([job.digest, data_digest, source, lock])


def identify(job: Job, source: DataSource) -> dict[str, Any]:
    """What a journal's first record says of the result that a job will have: run key, digests, training data."""
    inputs = {"training": describe_input(source, job.config.data, "train")}
    digests = {"data": inputs["training"]["digest"], "source": source_digest("train", job.frozen)}
    digests["lock"] = lock_digest()
    key = run_key(job, digests["data"], digests["source"], digests["lock"])
    return {"job_digest": job.digest, "run_key": key, "digests": digests, "inputs": inputs}


def describe_input(source: DataSource, config: DataConfig, part: str) -> dict[str, Any]:
    """Name, digest, folder and size of the part "train" or "test" of a data set, as MLflow shows an input."""
    spec = source.spec()
    count = spec.num_train if part == "train" else spec.num_test
    profile = {"num_examples": count, "input_shape": list(spec.input_shape)}
    return {"name": spec.name, "digest": source.digest(part), "source": config.location, "profile": profile}
