"""The layout of a run's files on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from piecewise.durable import read_json
from piecewise.errors import PiecewiseError, TryAgain
from piecewise.journal.names import folder_name
from piecewise.locks import file_lock, holder
from piecewise.manifest import JOURNAL, MANIFEST
from piecewise.project import Project

LOCK_SECONDS = 1.0  # how long a run waits for `piecewise clean`, which holds its lock for a moment
SWEEP = "sweep"  # the label under which the pipeline keeps the files of a sweep, beside those of its jobs


@dataclass(frozen=True)
class RunFolder:
    """The files of a run. `piecewise train` puts them into one folder, the pipeline into one folder for each stage."""

    journal: Path  # contains times, so it differs even between identical runs
    training: Path  # job.json, model.safetensors, model.yaml, path.safetensors, result.json
    evaluation: Path  # metrics.json, arrays.safetensors, evaluated.json
    figures: Path
    checkpoints: Path

    @classmethod
    def at(cls, folder: Path) -> RunFolder:
        """A run of `piecewise train`: everything is below `folder`."""
        parts = [folder / part for part in ("training", "evaluation", "figures", "checkpoints")]
        return cls(folder / JOURNAL, *parts)

    @classmethod
    def of_stage(cls, experiment: str, label: str) -> RunFolder:
        """A run of `dvc repro`. No stage depends on its journal, because that contains times, or on its checkpoints."""
        project, experiment = Project(), folder_name(experiment)
        return cls(
            project.stage_journals / experiment / f"{label}.jsonl",
            project.results / "train" / experiment / label,
            project.results / "evaluate" / experiment / label,
            project.report / "figures" / experiment / label,
            project.live_stages / experiment / label,
        )

    @classmethod
    def of_live_stage(cls, experiment: str, label: str) -> RunFolder:
        """A run of `dvc repro` in training. DVC deletes outs before a stage starts, so the journal is elsewhere."""
        staged = cls.of_stage(experiment, label)
        return replace(staged, journal=staged.checkpoints / JOURNAL)

    @classmethod
    def from_text(cls, text: str) -> RunFolder:
        """The folder that `as_text` describes. The text tells another process where the run is."""
        return cls(*(Path(part) for part in json.loads(text)))

    def as_text(self) -> str:
        return json.dumps([str(part) for part in vars(self).values()])

    @property
    def is_of_pipeline(self) -> bool:
        return self.journal.parent != self.training.parent

    @property
    def children(self) -> list[Path]:
        """The journals of a sweep's jobs; empty for other runs."""
        found: Iterable[Path] = ()
        if self.parent != self.journal and self.parent.is_file():  # the usual case: it is a job itself
            return []
        if self.jobs is not None:
            found = self.jobs.glob(f"*/{JOURNAL}")
        elif self.journal.stem == SWEEP:
            found = self.journal.parent.glob("*.jsonl")
        return sorted(path for path in found if path != self.journal)

    @property
    def jobs(self) -> Path | None:
        """Below which folder each job of a sweep has its journal in a folder of its own; None if they have none."""
        if self.journal.name != JOURNAL or (self.is_of_pipeline and self.journal.parent.name != SWEEP):
            return None
        return self.journal.parents[1] if self.is_of_pipeline else self.journal.parent

    @property
    def parent(self) -> Path:
        """Where the journal of this job's sweep is. For a run outside a sweep the file does not exist."""
        if self.journal.name != JOURNAL:
            return self.journal.with_name(f"{SWEEP}.jsonl")
        return self.journal.parents[1] / (Path(SWEEP, JOURNAL) if self.is_of_pipeline else JOURNAL)

    @property
    def sealed(self) -> Path:
        """The folder that gets a manifest when the run finishes; in the pipeline DVC has digests of all other files."""
        return self.checkpoints if self.is_of_pipeline else self.journal.parent

    @property
    def lock(self) -> Path:
        """What a process locks before it changes the run's files: the run's folder; for a stage, one file for all."""
        stage = self.checkpoints.parent
        return stage.with_name(f"{stage.name}.lock") if self.is_of_pipeline else self.journal.parent

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises TryAgain if another process holds it."""
        self.checkpoints.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(self.lock, LOCK_SECONDS, busy):
            yield

    @property
    def job(self) -> Path:
        return self.training / "job.json"

    @property
    def weights(self) -> Path:
        return self.training / "model.safetensors"

    @property
    def parameter_path(self) -> Path:
        """The path that the parameters of a small model take: their values at each recorded step."""
        return self.training / "path.safetensors"

    @property
    def result(self) -> Path:
        return self.training / "result.json"

    @property
    def is_trained(self) -> bool:
        return self.result.is_file() and self.weights.is_file()

    @property
    def is_done(self) -> bool:
        """Whether the run is trained, evaluated if that was asked for, and sealed."""
        return self.is_trained and (self.sealed / MANIFEST).is_file()

    @property
    def metrics(self) -> Path:
        return self.evaluation / "metrics.json"

    @property
    def evaluated(self) -> Path:
        """Which weights and data the metrics are of, and what could not be made beside them."""
        return self.evaluation / "evaluated.json"

    @property
    def table(self) -> Path:
        """The table of a sweep's jobs."""
        return (self.figures if self.is_of_pipeline else self.journal.parent) / "results.csv"

    @property
    def left_out(self) -> Path:
        """The figures and other extras that could not be made, with the reasons; no file if there are none."""
        return self.figures / "left_out.json"

    @property
    def arrays(self) -> Path:
        return self.evaluation / "arrays.safetensors"


def busy(path: Path) -> TryAgain:
    """The error that tells who holds the lock on a run's file or folder."""
    return TryAgain(f"{path} is being written: its run goes on in {holder(path)}; stop that process, or wait for it")


def all_runs(project: Project) -> list[RunFolder]:
    """Every run of the project; each sweep comes before its jobs."""
    return pipeline_runs(project) + runs_below(project.runs, [path.name for path in project.runs.glob("*/")])


def pipeline_runs(project: Project) -> list[RunFolder]:
    """The runs of `dvc repro`."""
    live = [RunFolder.of_live_stage(*path.parts[-3:-1]) for path in project.live_stages.glob(f"*/*/{JOURNAL}")]
    staged = [RunFolder.of_stage(path.parent.name, path.stem) for path in project.stage_journals.glob("*/*.jsonl")]
    # A run that is staged may have a live copy too, which is skipped.
    by_training = {folder.training: folder for folder in (*live, *staged)}
    return sorted(by_training.values(), key=lambda folder: (folder.training.name != SWEEP, folder.training))


def runs_below(runs: Path, names: Iterable[str]) -> list[RunFolder]:
    """The runs of `piecewise train` in the folders `names` below `runs`; each sweep comes before its jobs."""
    folders = [runs / name for name in sorted(names)]
    solo = [folder for folder in folders if (folder / JOURNAL).is_file()]
    children = [path.parent for folder in folders for path in sorted(folder.glob(f"*/{JOURNAL}"))]
    return [RunFolder.at(folder) for folder in (*solo, *children)]


def read_result(folder: RunFolder) -> dict[str, Any]:
    """Read the result of a run. Raises PiecewiseError if its training has not finished."""
    if not folder.result.is_file():
        raise PiecewiseError(f"{folder.training} holds no result: the training has not finished")
    return read_json(folder.result)
