"""The folders and files of a project: the only place that names paths below its root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from piecewise.errors import BadInput

STORE = "mlflow.db"  # the embedded MLflow store


@dataclass(frozen=True)
class Project(os.PathLike[str]):
    """The folders and files of one project, below `root`.

    The default root is the working directory. Every command and stage changes to the project's root first, because
    frozen jobs and DVC's files hold paths relative to it.
    """

    root: Path = Path()

    @classmethod
    def find(cls) -> Project:
        """The nearest folder with conf/config.yaml, upwards from the working directory; else the checkout of this file.

        Raises BadInput if there is none.
        """
        checkout = Path(__file__).resolve().parents[2]
        for folder in (Path.cwd(), *Path.cwd().parents, checkout):
            # The package piecewise has a conf/ of its own, and is no project.
            if (folder / "conf" / "config.yaml").is_file() and not (folder / "__init__.py").exists():
                return cls(folder)
        raise BadInput(f"no conf/config.yaml in {Path.cwd()} or above it: run piecewise inside its project")

    @property
    def conf(self) -> Path:
        """Hydra's configurations."""
        return self.root / "conf"

    @property
    def lock(self) -> Path:
        """The pinned packages that the environment is installed from."""
        return self.root / "requirements.lock"

    @property
    def build(self) -> Path:
        """Frozen jobs and source digests, written by the stage `compose`."""
        return self.root / "build"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def results(self) -> Path:
        """What the pipeline has trained and measured."""
        return self.root / "results"

    @property
    def stage_journals(self) -> Path:
        """The journals of finished training stages: one file per run, below a folder per experiment."""
        return self.results / "journal"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def runs(self) -> Path:
        """The runs of `piecewise train`, and the checkpoints of a stage that trains."""
        return self.root / "runs"

    @property
    def live_stages(self) -> Path:
        """Journals and checkpoints of training stages. DVC deletes a stage's outs before it starts, but not these."""
        return self.runs / "pipeline"

    @property
    def server(self) -> Path:
        """All files of `piecewise server`."""
        return self.runs / ".server"

    @property
    def store(self) -> Path:
        return self.root / STORE

    @property
    def artifacts(self) -> Path:
        """The files of the embedded store's runs and models."""
        return self.root / "mlartifacts"

    @property
    def dvc_lock(self) -> Path:
        return self.root / "dvc.lock"

    def name(self, path: Path) -> str:
        """`path` relative to the root, with slashes; a path outside the root stays as it is."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def __truediv__(self, name: str | Path) -> Path:
        return self.root / name

    def __fspath__(self) -> str:
        return str(self.root)

    def __str__(self) -> str:
        return str(self.root)
