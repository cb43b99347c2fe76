"""Where the pieces of one run lie."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from piecewise.durable import read_json
from piecewise.errors import PiecewiseError
from piecewise.manifest import JOURNAL
from piecewise.project import Project

SWEEP = "sweep"  # the label under which the pipeline keeps the parent of several jobs


@dataclass(frozen=True)
class RunFolder:
    """The files of a run. `piecewise train` keeps them together; the pipeline keeps what each stage makes apart."""

    journal: Path  # the file with times in it
    training: Path  # job.json, model.safetensors, model.yaml, result.json
    evaluation: Path  # metrics.json, arrays.safetensors
    figures: Path
    checkpoints: Path

    @classmethod
    def at(cls, folder: Path) -> RunFolder:
        """A run of `piecewise train`, all below `folder`."""
        parts = [folder / part for part in ("training", "evaluation", "figures", "checkpoints")]
        return cls(folder / JOURNAL, *parts)

    @classmethod
    def of_stage(cls, experiment: str, label: str) -> RunFolder:
        """A run of `dvc repro`. The journal, which holds times, and the live checkpoints are no stage's dependency."""
        return cls(
            Path("results/journal", experiment, f"{label}.jsonl"),
            Path("results/train", experiment, label),
            Path("results/evaluate", experiment, label),
            Path("report/figures", experiment, label),
            Path("runs/pipeline", experiment, label),
        )

    @classmethod
    def of_live_stage(cls, experiment: str, label: str) -> RunFolder:
        """A run of `dvc repro` while it trains. DVC removes a stage's outs before it starts, but not these."""
        staged = cls.of_stage(experiment, label)
        return replace(staged, journal=staged.checkpoints / JOURNAL)

    @classmethod
    def from_text(cls, text: str) -> RunFolder:
        """The folder that `as_text` described, for a process that was told its place."""
        return cls(*(Path(part) for part in json.loads(text)))

    def as_text(self) -> str:
        return json.dumps([str(part) for part in astuple(self)])

    @property
    def is_of_pipeline(self) -> bool:
        return self.journal.parent != self.training.parent

    @property
    def children(self) -> list[Path]:
        """The journals of a sweep's jobs; none if this is no sweep."""
        if self.journal.name != JOURNAL:
            found = self.journal.parent.glob("*.jsonl") if self.journal.stem == SWEEP else ()
        elif self.is_of_pipeline:
            found = self.journal.parents[1].glob(f"*/{JOURNAL}") if self.journal.parent.name == SWEEP else ()
        else:
            found = self.journal.parent.glob(f"*/{JOURNAL}")
        return sorted(path for path in found if path != self.journal)

    @property
    def parent(self) -> Path:
        """Where the journal of the sweep is, if this is one of its jobs; for one that is none there is no such file."""
        if self.journal.name != JOURNAL:
            return self.journal.with_name(f"{SWEEP}.jsonl")
        return self.journal.parents[1] / (Path(SWEEP, JOURNAL) if self.is_of_pipeline else JOURNAL)

    @property
    def sealed(self) -> Path:
        """The folder that has a manifest once the run is finished; DVC keeps digests of the pipeline's other files."""
        return self.checkpoints if self.is_of_pipeline else self.journal.parent

    @property
    def job(self) -> Path:
        return self.training / "job.json"

    @property
    def weights(self) -> Path:
        return self.training / "model.safetensors"

    @property
    def path(self) -> Path:
        """The way a small model's parameters took."""
        return self.training / "path.safetensors"

    @property
    def result(self) -> Path:
        return self.training / "result.json"

    @property
    def metrics(self) -> Path:
        return self.evaluation / "metrics.json"

    @property
    def arrays(self) -> Path:
        return self.evaluation / "arrays.safetensors"


def all_runs(project: Project) -> list[RunFolder]:
    """Every run below the project's root, parents of sweeps before their children."""
    pipeline = sorted((project.results / "journal").glob("*/*.jsonl"), key=lambda path: (path.stem != SWEEP, path))
    staged = [RunFolder.of_stage(path.parent.name, path.name.removesuffix(".jsonl")) for path in pipeline]
    live = [
        RunFolder.of_live_stage(path.parent.parent.name, path.parent.name)
        for path in sorted(project.live_stages.glob("*/*/journal.jsonl"))
    ]
    known = {folder.training for folder in staged}  # what has been published is not live any more
    staged += [folder for folder in live if folder.training not in known]
    solo = sorted(project.runs.glob("*/journal.jsonl"))
    children = sorted(project.runs.glob("*/*/journal.jsonl"))
    return staged + [RunFolder.at(path.parent) for path in (*solo, *children)]


def read_result(folder: RunFolder) -> dict[str, Any]:
    """The result of a finished training. Raises PiecewiseError if it never finished."""
    if not folder.result.is_file():
        raise PiecewiseError(f"{folder.training} holds no finished training")
    return read_json(folder.result)


def new_id() -> str:
    """An id for a run: sorts by time, never repeats."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
