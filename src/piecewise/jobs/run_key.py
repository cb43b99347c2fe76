"""The run key: what names an experiment's result before anything is trained."""

from __future__ import annotations

import hashlib
from typing import Any

from piecewise.jobs import build
from piecewise.jobs.config import DataConfig
from piecewise.jobs.job import Job, canonical
from piecewise.jobs.provenance import lock_digest
from piecewise.jobs.source import source_digest


def run_key(job: Job, data_digest: str, source: str, lock: str) -> str:
    """Names an experiment's result: the job, the data it reads, the source it runs, the lock of its environment."""
    return hashlib.sha256(canonical([job.digest, data_digest, source, lock]).encode()).hexdigest()


def prepare(job: Job) -> dict[str, Any]:
    """The digests that name the result, before anything is trained."""
    inputs = {"training": describe_input(job.config.data, "train")}
    digests = {"data": inputs["training"]["digest"], "source": source_digest("train"), "lock": lock_digest()}
    key = run_key(job, digests["data"], digests["source"], digests["lock"])
    return {"job_digest": job.digest, "run_key": key, "digests": digests, "inputs": inputs}


def describe_input(config: DataConfig, part: str) -> dict[str, Any]:
    """Name, digest, place and size of the part "train" or "test" of a data set, for whoever tracks the run."""
    source = build.build_data(config)
    spec = source.spec()
    count = spec.num_train if part == "train" else spec.num_test
    profile = {"num_examples": count, "input_shape": list(spec.input_shape)}
    return {"name": spec.name, "digest": source.digest(part), "source": config.place, "profile": profile}
