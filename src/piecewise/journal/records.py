"""A journal's records, parsed from JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

from piecewise.processes import Process

JsonObject = dict[str, Any]


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


PARSERS: dict[str, Callable[[Any], Any]] = {
    "process": lambda process: Process.parse(process) if process else None,
    "inputs": Input.parse_all,
    "best": lambda best: [best] if isinstance(best, str) else best,  # of earlier versions: one of all jobs
    "tags": lambda tags: {key: str(value) for key, value in tags.items()},
}


@dataclass(frozen=True)
class Record:
    """One line of a journal. A key that the line lacks gets its default; a key unknown to this version is in `raw`."""

    raw: JsonObject = field(repr=False)
    time: float  # seconds since 1970

    @classmethod
    def parse(cls, raw: JsonObject) -> Self:
        known = [item.name for item in fields(cls) if raw.get(item.name) is not None]
        return cls(raw, **{name: PARSERS[name](raw[name]) if name in PARSERS else raw[name] for name in known})


@dataclass(frozen=True)
class Start(Record):
    """The first record: what the run is."""

    id: str = ""
    name: str = ""  # of the experiment
    title: str = ""
    config: JsonObject = field(default_factory=dict)  # the frozen job; empty for a sweep
    tags: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, Input] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    job_digest: str = ""
    run_key: str = ""
    parent: str | None = None  # the id of the sweep that the run belongs to
    num_jobs: int | None = None  # of a sweep: the jobs that have their runs in it
    steps_planned: int | None = None  # until the last epoch
    process: Process | None = None

    @property
    def is_sweep(self) -> bool:
        return self.num_jobs is not None


@dataclass(frozen=True)
class Resume(Record):
    """The run goes on after an interruption."""

    process: Process | None = None
    changed: list[str] = field(default_factory=list)  # what differs from the start, such as "source"


class Metrics(NamedTuple):
    """What was measured after `step` optimizer steps. A tuple, because a long run has hundreds of thousands."""

    time: float
    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class End(Record):
    """How the run ended."""

    status: str  # FINISHED, FAILED or KILLED
    reason: str = ""
    selected_step: int = 0  # whose weights are kept
    val_nll: float | None = None  # of these weights
    weights_digest: str | None = None
    run_key: str = ""  # with the source that the run went on with last
    best: list[str] = field(default_factory=list)  # of a sweep: the id of the best job of each comparable group
