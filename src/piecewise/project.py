"""The folders and files of a project: the only place that names paths below its root."""

from __future__ import annotations

import os
from pathlib import Path

from piecewise.errors import BadInput

STORE = "mlflow.db"  # the embedded MLflow store


class Project(os.PathLike[str]):
    """The folders and files of one project, below `root`.

    The default root is the working directory. Every command and stage changes to the project's root first, because
    frozen jobs and DVC's files hold paths relative to it.
    """

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self.conf = root / "conf"  # Hydra's configurations
        self.lock = root / "requirements.lock"  # the pinned packages that the environment is installed from
        self.dvc_lock = root / "dvc.lock"
        self.scripts = root / "pipelines"  # of the stages
        self.data = root / "data"
        self.build = root / "build"  # frozen jobs and source digests, written by the stage `compose`
        self.results = root / "results"  # what the pipeline has trained and measured
        self.stage_journals = self.results / "journal"  # of finished training stages, a folder for each experiment
        self.report = root / "report"
        self.runs = root / "runs"  # the runs of `piecewise train`
        # Journals and checkpoints of training stages. DVC deletes a stage's outs before it starts, but not these.
        self.live_stages = self.runs / "pipeline"
        self.server = self.runs / ".server"  # all files of `piecewise server`
        self.store = root / STORE
        self.artifacts = root / "mlartifacts"  # the files of the embedded store's runs and models

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

    def name(self, path: Path) -> str:
        """`path` relative to the root, with slashes; a path outside the root stays as it is."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def __truediv__(self, name: str | Path) -> Path:
        return self.root / name

    def __str__(self) -> str:
        return str(self.root)

    __fspath__ = __str__
