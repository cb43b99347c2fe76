"""A journal's records, parsed from JSON. A missing key gets its default; every key of the file stays in `raw`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from piecewise.processes import Process

JsonObject = dict[str, Any]


def _process(record: JsonObject) -> Process | None:
    return Process.parse(record["process"]) if record.get("process") else None


@dataclass(frozen=True)
class Input:
    """A data set that a run reads."""

    name: str
    digest: str
    source: str  # where its files are
    profile: JsonObject  # number and shape of the examples

    @classmethod
    def parse_all(cls, inputs: JsonObject) -> dict[str, Input]:
        """Data sets by what they are used for."""
        return {
            purpose: cls(data["name"], data["digest"], data["source"], data.get("profile", {}))
            for purpose, data in inputs.items()
        }


@dataclass(frozen=True)
class Start:
    """The first record of a run: what it is."""

    time: float  # seconds since 1970
    id: str
    name: str  # of the experiment
    title: str
    config: JsonObject  # the frozen job; empty for a sweep
    tags: dict[str, str]
    inputs: dict[str, Input]
    digests: dict[str, str]
    job_digest: str
    parent: str | None  # the id of the sweep that the run belongs to
    num_jobs: int | None  # of a sweep
    process: Process | None
    raw: JsonObject = field(repr=False)

    @classmethod
    def parse(cls, record: JsonObject) -> Start:
        return cls(
            record["time"],
            str(record.get("id", "")),
            record.get("name", ""),
            str(record.get("title", "")),
            record.get("config", {}),
            {key: str(value) for key, value in record.get("tags", {}).items()},
            Input.parse_all(record.get("inputs", {})),
            record.get("digests", {}),
            record.get("job_digest", ""),
            record.get("parent"),
            record.get("num_jobs"),
            _process(record),
            record,
        )

    @property
    def is_sweep(self) -> bool:
        return self.num_jobs is not None


@dataclass(frozen=True)
class Resume:
    """The run goes on after an interruption."""

    process: Process | None
    changed: list[str]  # what differs from the start, such as "source"

    @classmethod
    def parse(cls, record: JsonObject) -> Resume:
        return cls(_process(record), record.get("changed", []))


@dataclass(frozen=True)
class Metrics:
    """What was measured after `step` optimizer steps."""

    time: float  # seconds since 1970
    step: int
    values: dict[str, float]

    @classmethod
    def parse(cls, record: JsonObject) -> Metrics:
        return cls(record["time"], record["step"], record["values"])


@dataclass(frozen=True)
class Artifact:
    """A file that belongs to the run."""

    path: str  # from the run's training folder
    folder: str  # that MLflow shows it in

    @classmethod
    def parse(cls, record: JsonObject) -> Artifact:
        return cls(record["path"], record["folder"])


@dataclass(frozen=True)
class End:
    """How the run ended."""

    time: float  # seconds since 1970
    status: str  # FINISHED, FAILED or KILLED
    reason: str
    selected_step: int  # whose weights are kept
    val_nll: float | None  # of these weights
    weights_digest: str | None
    best: str | None  # of a sweep: the id of its best job
    raw: JsonObject = field(repr=False)

    @classmethod
    def parse(cls, record: JsonObject) -> End:
        return cls(
            record["time"],
            record["status"],
            record.get("reason", ""),
            int(record.get("selected_step", 0)),
            record.get("val_nll"),
            record.get("weights_digest"),
            record.get("best"),
            record,
        )
