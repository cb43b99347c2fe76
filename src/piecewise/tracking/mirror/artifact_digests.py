"""What lies in the embedded store's artifact folders, by SHA-256: MLflow keeps no digest of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.manifest import digest_file, read_sealed, write_sealed
from piecewise.project import Project
from piecewise.tracking.store.addresses import local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = Path("mlartifacts", ".manifests")  # one for each run, by MLflow's id of it


class ArtifactRecord:
    """The manifests of one embedded store. Paths in them are relative to the project's root: it may be moved."""

    def __init__(self, client: MlflowClient, project: Project) -> None:
        self.client = client
        self.project = project

    def write(self, run_id: str, pushed: Mapping[str, Path]) -> None:
        """Record the run's artifacts. `pushed` names those just brought over, and the files they are copies of.

        All others keep what was recorded of them: damage must not become the truth. Raises AlteredManifest.
        """
        run = self.client.get_run(run_id)
        place = local_path(run.info.artifact_uri)
        places = [place, *(local_path(model.artifact_location) for model in ready_models(self.client, run))]
        recorded = self._read(run_id) or {}
        copied = {self._name(place / name): source for name, source in pushed.items() if place is not None}
        files = {}
        for path in sorted(path for folder in places if folder is not None for path in folder.rglob("*")):
            if path.is_file():
                name = self._name(path)
                known = None if name in copied else recorded.get(name)
                files[name] = known or digest_file(copied.get(name, path))
        write_sealed(self._path(run_id), {"files": files})

    def missing(self, run_id: str) -> list[Path] | None:
        """The recorded files that are gone; None if nothing was recorded. Raises AlteredManifest."""
        recorded = self._read(run_id)
        if recorded is None:
            return None
        return [self.project / name for name in recorded if not (self.project / name).is_file()]

    def _read(self, run_id: str) -> dict[str, str] | None:
        path = self._path(run_id)
        return read_artifacts(path) if path.is_file() else None

    def _path(self, run_id: str) -> Path:
        return self.project / FOLDER / f"{run_id}.json"

    def _name(self, path: Path) -> str:
        return path.relative_to(self.project).as_posix() if path.is_relative_to(self.project) else str(path)


def read_artifacts(path: Path) -> dict[str, str]:
    """The SHA-256 of each of a run's artifacts, by its path from the project's root. Raises AlteredManifest."""
    files: dict[str, str] = read_sealed(path)["files"]
    return files


def ready_models(client: MlflowClient, run: Any) -> list[Any]:
    """The models logged by a run; others were cut off while they were written, or deleted."""
    query = f"source_run_id = '{run.info.run_id}'"
    models = client.search_logged_models([run.info.experiment_id], filter_string=query)
    return [model for model in models if str(model.status) == "READY"]
