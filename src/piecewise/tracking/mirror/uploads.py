"""Uploading files to a run, and checking by digest that each arrived unaltered."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from piecewise.durable import read_json
from piecewise.errors import BadInput, PiecewiseError
from piecewise.manifest import digest_file
from piecewise.tracking.store.addresses import local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

MANIFEST = "manifest.json"  # on a server, stored beside a run's files: their digests


class Damaged(PiecewiseError):
    """A file arrived altered, twice."""


class Uploads:
    """The files of one run. A file that has arrived unaltered is not sent again, so a cut-off upload continues."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self._sizes: dict[str, dict[str, int | None]] = {}  # of the store's files, by folder
        self._verified: dict[str, str] = {}  # digests of files known to be in the store

    def send(self, files: Mapping[str, Path]) -> int:
        """Send the files that the store lacks, by their paths there; the number of files sent. Raises Damaged."""
        digests = {name: digest_file(path) for name, path in files.items()}
        count = 0
        for name, path in files.items():
            if not self._is_there(name, path, digests[name]):
                self._send(name, path, digests[name])
                count += 1
            self._verified[name] = digests[name]
        return count

    @functools.cached_property
    def _recorded(self) -> dict[str, str]:
        """The digests in the server's manifest; empty if it is missing or damaged."""
        if MANIFEST not in self._in_folder(""):
            return {}
        with self._copy_of(MANIFEST) as path, contextlib.suppress(BadInput):
            return dict(read_json(path).get("files") or {})
        return {}

    def record(self) -> None:
        """Write the digests of what has arrived to the server's manifest; call this last."""
        digests = self._recorded | self._verified
        if digests != self._recorded:
            self.client.log_text(self.run_id, json.dumps({"files": digests}, indent=1, sort_keys=True), MANIFEST)

    def _is_there(self, name: str, path: Path, digest: str) -> bool:
        if self._in_folder(name.rpartition("/")[0]).get(name) != path.stat().st_size:
            return False
        return self._recorded.get(name) == digest or self._digest(name) == digest

    def _send(self, name: str, path: Path, digest: str) -> None:
        for _ in range(2):
            self.client.log_artifact(self.run_id, str(path), name.rpartition("/")[0] or None)
            if self._digest(name) == digest:
                return
        raise Damaged(f"{path} arrives as another file each time it is sent")

    def _in_folder(self, folder: str) -> dict[str, int | None]:
        """The size in bytes of each file that the store has in a folder, by its path."""
        if folder not in self._sizes:
            listed = self.client.list_artifacts(self.run_id, folder or None)
            self._sizes[folder] = {item.path: item.file_size for item in listed if not item.is_dir}
        return self._sizes[folder]

    def _digest(self, name: str) -> str:
        with self._copy_of(name) as path:
            return digest_file(path)

    @contextmanager
    def _copy_of(self, name: str) -> Iterator[Path]:
        """The file itself in a local store, else a download.

        The download uses the file's own address: with a run id instead, MLflow's client hides the cause of a failure.
        """
        from mlflow.artifacts import download_artifacts

        store_folder = local_path(self._address)
        if store_folder is not None:
            yield store_folder / name
            return
        with tempfile.TemporaryDirectory() as folder:
            uri = f"{self._address}/{name}"
            yield Path(download_artifacts(uri, dst_path=folder, tracking_uri=self.client.tracking_uri))

    @functools.cached_property
    def _address(self) -> str:
        return str(self.client.get_run(self.run_id).info.artifact_uri)
