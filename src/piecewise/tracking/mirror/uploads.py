"""Bringing files to a run or a model, so that what has arrived is known to be what was sent."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.durable import read_json
from piecewise.errors import BadInput, PiecewiseError
from piecewise.manifest import digest_file
from piecewise.tracking.store.addresses import local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

MANIFEST = "manifest.json"  # of a server's run, beside its files and after them: their digests


class Damaged(PiecewiseError):
    """A file that was sent twice and arrived as another one."""


class Uploads:
    """The files of one run. One that is there already, whole, is not sent again: who was cut off goes on."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self._sizes: dict[str, dict[str, int]] = {}  # by folder
        self._verified: dict[str, str] = {}  # the digests of what is known to be there

    def send(self, files: Mapping[str, Path]) -> int:
        """Send what is not there, by the path that MLflow shows; the number of files sent. Raises Damaged."""
        wanted = {name: digest_file(path) for name, path in files.items()}
        count = 0
        for name, path in files.items():
            if not self._is_there(name, path, wanted[name]):
                self._send(name, path, wanted[name])
                count += 1
            self._verified[name] = wanted[name]
        return count

    @functools.cached_property
    def _known(self) -> dict[str, str]:
        """The digests that were recorded at the server; none of a run that has no manifest yet, or a damaged one."""
        if MANIFEST not in self._in_folder(""):
            return {}
        with self._copy_of(MANIFEST) as path, contextlib.suppress(BadInput):
            return dict(read_json(path).get("files") or {})
        return {}

    def record(self) -> None:
        """Write the digests of what has arrived, last of all."""
        now = self._known | self._verified
        if now != self._known:
            self.client.log_text(self.run_id, json.dumps({"files": now}, indent=1, sort_keys=True), MANIFEST)

    def _is_there(self, name: str, path: Path, digest: str) -> bool:
        if self._in_folder(name.rpartition("/")[0]).get(name) != path.stat().st_size:
            return False
        return self._known.get(name) == digest or self._digest(name) == digest

    def _send(self, name: str, path: Path, digest: str) -> None:
        for _ in range(2):
            self.client.log_artifact(self.run_id, str(path), name.rpartition("/")[0] or None)
            if self._digest(name) == digest:
                return
        raise Damaged(f"{path} arrives as another file each time it is sent")

    def _in_folder(self, folder: str) -> dict[str, int]:
        if folder not in self._sizes:
            self._sizes[folder] = sizes(self.client.list_artifacts(self.run_id, folder or None))
        return self._sizes[folder]

    def _digest(self, name: str) -> str:
        with self._copy_of(name) as path:
            return digest_file(path)

    @contextmanager
    def _copy_of(self, name: str) -> Iterator[Path]:
        """By its own address: by the run's, MLflow's client would say only that it failed, and not why."""
        from mlflow.artifacts import download_artifacts

        here = local_path(self._address)
        if here is not None:
            yield here / name
            return
        with tempfile.TemporaryDirectory() as place:
            uri = f"{self._address}/{name}"
            yield Path(download_artifacts(uri, dst_path=place, tracking_uri=self.client.tracking_uri))

    @functools.cached_property
    def _address(self) -> str:
        return str(self.client.get_run(self.run_id).info.artifact_uri)


def sizes(listed: Iterable[Any]) -> dict[str, int]:
    """The size of each file, by its path, of what a store lists."""
    return {item.path: item.file_size for item in listed if not item.is_dir}
