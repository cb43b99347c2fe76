"""The job: one resolved configuration, frozen to canonical JSON. Every training starts from a job."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from piecewise.durable import read_json, write_json
from piecewise.errors import BadInput
from piecewise.jobs import version_1
from piecewise.jobs.config import JobConfig
from piecewise.jobs.digests import canonical_digest, config_digest
from piecewise.jobs.overrides import folder_of, key_of, labelled, values_of

VERSION = 2


@dataclass(frozen=True)
class Job:
    """`name` is the experiment's name, or that of the data and the model."""

    name: str
    overrides: tuple[str, ...]  # all that were given, as Hydra took them
    frozen: dict[str, Any]  # the resolved configuration, as digested and written
    notes: tuple[str, ...] = ()  # where it differs from what was asked for

    @cached_property
    def config(self) -> JobConfig:
        """The typed configuration. Raises BadInput naming the key that cannot be used."""
        return JobConfig.parse(self.frozen)

    @property
    def digest(self) -> str:
        """The digest of the configuration without its volatile keys."""
        return config_digest(self.frozen)

    @property
    def label(self) -> str:
        """What distinguishes the job from others of its name, for people: `model.width=3,seed=0`."""
        return self.label_without()

    def label_without(self, *keys: str) -> str:
        """The label without the overrides of some keys."""
        return ",".join(item for item in labelled(self.overrides) if key_of(item) not in keys)

    @property
    def values(self) -> dict[str, str]:
        """The values of the label's overrides by key, as they are written: `+trainer.max_steps=9` sets a value too."""
        return values_of(labelled(self.overrides))

    @property
    def title(self) -> str:
        """The run's name for people: the experiment and the label."""
        return f"{self.name} {self.label}".strip()

    @property
    def folder_name(self) -> str:
        """A folder among those of the experiment's jobs."""
        return folder_of(self.overrides)

    def as_dict(self) -> dict[str, Any]:
        return {"version": VERSION, "digest": self.digest, "seal": self._seal(), **self._content()}

    def _content(self) -> dict[str, Any]:
        notes = list(self.notes)
        return {"name": self.name, "overrides": list(self.overrides), "config": self.frozen, "notes": notes}

    def _seal(self) -> str:
        """The digest of the whole content, with the volatile keys."""
        return canonical_digest(self._content())

    def write(self, path: Path) -> None:
        write_json(path, self.as_dict())

    @classmethod
    def from_dict(cls, content: dict[str, Any], where: Path) -> Job:
        """The job in `content`. Raises BadInput if its version is unknown, or if it is incomplete or was edited."""
        _check_version(content, where)
        is_old = content["version"] == version_1.VERSION
        kinds = {"name": str, "config": dict, "seal": str}
        kinds |= {"label": str} if is_old else {"overrides": list, "notes": list}
        for key, kind in kinds.items():
            value = content.get(key)
            if not isinstance(value, kind) or (kind is list and not all(isinstance(item, str) for item in value)):
                raise BadInput(f"{where}: the job's {key} is {value!r}; it must be a {kind.__name__}")
        if is_old:
            return cls(content["name"], version_1.overrides(content, where), content["config"])
        job = cls(content["name"], tuple(content["overrides"]), content["config"], tuple(content["notes"]))
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
    if content.get("version") not in (version_1.VERSION, VERSION):
        raise BadInput(f"{where}: version {content.get('version')!r} cannot be read; allowed: {VERSION}")
