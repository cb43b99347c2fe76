"""SHA-256 digests of the files in the embedded store's artifact folders: MLflow keeps no digests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from piecewise.manifest import digest_file, read_sealed, write_sealed
from piecewise.project import Project
from piecewise.tracking.mirror.live_runs import LiveRun
from piecewise.tracking.mirror.uploads import Damaged
from piecewise.tracking.store.addresses import local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = Path("mlartifacts", ".manifests")  # one manifest per run, named by MLflow's id of the run


class ArtifactRecord:
    """The artifacts of one embedded store, with their manifests.

    The paths in them are relative to the project's root, so that it can be moved.
    """

    def __init__(self, client: MlflowClient, project: Project) -> None:
        self.client = client
        self.project = project

    def send(self, live: LiveRun, files: Mapping[str, Path]) -> int:
        """Copy the files that the store lacks, by their paths there; the number of files copied. Raises Damaged.

        MLflow's client would ask its database where to, for each file.
        """
        folder, count = _folder_of(live), 0
        for name, path in files.items():
            digest, target = digest_file(path), folder / name
            if not (target.is_file() and digest_file(target) == digest):
                _copy(path, target, digest)
                count += 1
        return count

    def write(self, live: LiveRun, pushed: Mapping[str, Path], with_models: bool) -> None:
        """Record the digests of the run's artifacts. `pushed` maps the names just uploaded to their source files.

        Digests of all other files are kept as recorded: hashing them again would record damage as correct.
        Models are looked for only if asked. Raises AlteredManifest.
        """
        recorded = self._read(live.run_id) or {}
        folders = [_folder_of(live)]
        sources = {self.project.name(folders[0] / name): path for name, path in pushed.items()}
        if with_models:
            models = models_of(self.client, self.client.get_run(live.run_id))
            folders += filter(None, (local_path(model.artifact_location) for model in models))
            files = {}
        else:
            own = f"{self.project.name(folders[0])}/"
            files = {name: digest for name, digest in recorded.items() if not name.startswith(own)}
        for path in sorted(path for folder in folders for path in folder.rglob("*")):
            if path.is_file():
                name = self.project.name(path)
                known = None if name in sources else recorded.get(name)
                files[name] = known or digest_file(sources.get(name, path))
        write_sealed(self._path(live.run_id), {"files": files})

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


def _folder_of(live: LiveRun) -> Path:
    folder = local_path(live.artifact_uri)
    assert folder is not None  # an embedded store keeps its files on this machine
    return folder


def _copy(path: Path, target: Path, digest: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        copyfile(path, target)
        if digest_file(target) == digest:
            return
    raise Damaged(f"{path} arrives as another file each time it is sent")
