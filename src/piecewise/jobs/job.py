"""The job: one resolved configuration, frozen to canonical JSON. Every training starts from a job."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from piecewise.durable import read_json, write_json
from piecewise.errors import BadInput
from piecewise.jobs.config import JobConfig

VERSION = 1

# These keys say how, where and for whom a job runs. They do not change its digest.
VOLATILE = (
    "about",
    "tracking",
    "evaluate",
    "log_every_n_steps",
    "log_model",
    *(f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "precision", "strategy", "timeout")),
)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_digest(value: Any) -> str:
    """SHA-256 of the value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def without_volatile(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides the result: all keys but the volatile ones."""
    kept = copy.deepcopy(config)
    for key in VOLATILE:
        group, _, leaf = key.rpartition(".")
        (kept.get(group, {}) if group else kept).pop(leaf, None)
    return kept


@dataclass(frozen=True)
class Job:
    """`name` is the experiment's name; `label` distinguishes the jobs of a sweep (`model.width=3,seed=0`)."""

    name: str
    label: str
    frozen: dict[str, Any]  # the resolved configuration, as digested and written

    @cached_property
    def config(self) -> JobConfig:
        """The typed configuration. Raises BadInput naming the key that cannot be used."""
        return JobConfig.parse(self.frozen)

    @property
    def digest(self) -> str:
        """The digest of the configuration without its volatile keys."""
        return canonical_digest(without_volatile(self.frozen))

    @property
    def title(self) -> str:
        """The run's name for people: the experiment and the label."""
        return f"{self.name} {self.label}".strip()

    @property
    def overrides(self) -> dict[str, str]:
        """The label's values by key. Commas inside a list value do not separate keys."""
        parts = re.split(r",(?=[\w.@/]+=)", self.label)
        return dict(part.split("=", 1) for part in parts if "=" in part)

    @property
    def folder_name(self) -> str:
        """The label as a valid folder name."""
        return re.sub(r"[^\w=.,+-]", "_", self.label) or "run"

    def as_dict(self) -> dict[str, Any]:
        return {"version": VERSION, "digest": self.digest, "seal": self._seal(), **self._content()}

    def _content(self) -> dict[str, Any]:
        return {"name": self.name, "label": self.label, "config": self.frozen}

    def _seal(self) -> str:
        """The digest of the whole content, with the volatile keys."""
        return canonical_digest(self._content())

    def write(self, path: Path) -> None:
        write_json(path, self.as_dict())

    @classmethod
    def from_dict(cls, content: dict[str, Any], where: Path) -> Job:
        """The job in `content`. Raises BadInput if its version is unknown, or if it is incomplete or was edited."""
        _check_version(content, where)
        for key, kind in {"name": str, "label": str, "config": dict, "seal": str}.items():
            if not isinstance(content.get(key), kind):
                raise BadInput(f"{where}: the job's {key} is {content.get(key)!r}; it must be a {kind.__name__}")
        job = cls(content["name"], content["label"], content["config"])
        if content != job.as_dict():
            raise BadInput(f"{where}: the job was edited: its seal is {job._seal()}, recorded is {content['seal']}")
        return job


def read_job(path: Path) -> Job:
    """The job in the file `path`. Raises BadInput if the file is missing, damaged or edited."""
    return Job.from_dict(read_json(path), path)


def write_jobs(path: Path, experiment: str, jobs: list[Job], error: str | None = None) -> None:
    """Write an experiment's jobs for the stage that trains them, or the error that prevented them."""
    content = {"version": VERSION, "experiment": experiment, "jobs": [job.as_dict() for job in jobs]}
    write_json(path, content if error is None else content | {"error": error})


def read_jobs(path: Path) -> list[Job]:
    """The jobs written by `write_jobs`. Raises BadInput with the recorded error, or as `Job.from_dict` does."""
    content = read_json(path)
    _check_version(content, path)
    if content.get("error"):
        raise BadInput(str(content["error"]))
    if not isinstance(content.get("jobs"), list) or not all(isinstance(job, dict) for job in content["jobs"]):
        raise BadInput(f"{path} holds no list of jobs")
    return [Job.from_dict(job, path) for job in content["jobs"]]


def _check_version(content: dict[str, Any], where: Path) -> None:
    if content.get("version") != VERSION:
        raise BadInput(f"{where}: version {content.get('version')!r} cannot be read; allowed: {VERSION}")
