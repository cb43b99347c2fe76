"""SHA-256 digests of the files in the embedded store's artifact folders: MLflow keeps no digests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.manifest import digest_file, read_sealed, write_sealed
from piecewise.project import Project
from piecewise.tracking.store.addresses import local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = Path("mlartifacts", ".manifests")  # one manifest per run, named by MLflow's id of the run


class ArtifactRecord:
    """The manifests of one embedded store. Their paths are relative to the project's root, so that it can be moved."""

    def __init__(self, client: MlflowClient, project: Project) -> None:
        self.client = client
        self.project = project

    def write(self, run_id: str, pushed: Mapping[str, Path]) -> None:
        """Record the digests of the run's artifacts. `pushed` maps the names just uploaded to their source files.

        Digests of all other files are kept as recorded: hashing them again would record damage as correct.
        Raises AlteredManifest.
        """
        run = self.client.get_run(run_id)
        run_folder = local_path(run.info.artifact_uri)
        folders = [run_folder, *(local_path(model.artifact_location) for model in models_of(self.client, run))]
        recorded = self._read(run_id) or {}
        sources = {
            self.project.name(run_folder / name): path for name, path in pushed.items() if run_folder is not None
        }
        files = {}
        for path in sorted(path for folder in folders if folder is not None for path in folder.rglob("*")):
            if path.is_file():
                name = self.project.name(path)
                known = None if name in sources else recorded.get(name)
                files[name] = known or digest_file(sources.get(name, path))
        write_sealed(self._path(run_id), {"files": files})

    def missing(self, run_id: str) -> list[Path] | None:
        """The recorded files that no longer exist; None if nothing was recorded. Raises AlteredManifest."""
        recorded = self._read(run_id)
        if recorded is None:
            return None
        return [self.project / name for name in recorded if not (self.project / name).is_file()]

    def _read(self, run_id: str) -> dict[str, str] | None:
        path = self._path(run_id)
        return read_artifacts(path) if path.is_file() else None

    def _path(self, run_id: str) -> Path:
        return self.project / FOLDER / f"{run_id}.json"


def read_artifacts(path: Path) -> dict[str, str]:
    """The SHA-256 of each of a run's artifacts, by its path from the project's root. Raises AlteredManifest."""
    files: dict[str, str] = read_sealed(path)["files"]
    return files


def models_of(client: MlflowClient, run: Any, is_ready: bool = True) -> list[Any]:
    """The run's complete models, or those that were cut off while they were written; no deleted ones."""
    query = f"source_run_id = '{run.info.run_id}'"
    found = client.search_logged_models([run.info.experiment_id], filter_string=query)
    return [model for model in found if (str(model.status) == "READY") is is_ready]
