"""A server's manifest lists exactly the files that were verified to have arrived."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import digest_file
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.mirror.run_contents import TABLE
from piecewise.tracking.mirror.uploads import MANIFEST, Damaged, Uploads
from stored_runs import run_of


class Store:
    """A store with the artifacts of one run in a folder. It rejects `refused` files and damages `spoilt` ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused: set[str] = set()
        self.spoilt: set[str] = set()
        self.sent: list[str] = []

    def list_artifacts(self, run_id: str, folder: str | None = None) -> list[Any]:
        listed = self.folder / (folder or "")
        found = [path for path in listed.iterdir() if path.is_file()] if listed.is_dir() else []
        names = [path.relative_to(self.folder).as_posix() for path in found]
        return [
            SimpleNamespace(path=name, file_size=path.stat().st_size, is_dir=False)
            for name, path in zip(names, found, strict=True)
        ]

    def log_artifact(self, run_id: str, path: str, folder: str | None = None) -> None:
        name = Path(path).name
        if name in self.refused:
            raise ConnectionError(name)
        target = self.folder / (folder or "") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        if name in self.spoilt:
            target.write_bytes(b"x" * target.stat().st_size)
        self.sent.append(name)

    def get_run(self, run_id: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(artifact_uri=str(self.folder)))

    def log_text(self, run_id: str, text: str, name: str) -> None:
        (self.folder / name).write_text(text)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    for name in ("a.svg", "b.svg", "c.svg"):
        (tmp_path / name).write_text(f"<svg>{name} 1</svg>")
    return {f"figures/{name}": tmp_path / name for name in ("a.svg", "b.svg", "c.svg")}


def send(store: Store, files: dict[str, Path]) -> int:
    client: Any = store
    uploads = Uploads(client, "run")
    try:
        return uploads.send(files)
    finally:
        uploads.record()


def recorded(store: Store) -> dict[str, str]:
    digests: dict[str, str] = json.loads((store.folder / MANIFEST).read_text())["files"]
    return digests


def test_files_that_have_arrived_are_not_sent_again(store: Store, files: dict[str, Path]) -> None:
    assert (send(store, files), send(store, files)) == (3, 0)
    assert recorded(store) == {name: digest_file(path) for name, path in files.items()}


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_damaged_manifest_is_replaced(store: Store, files: dict[str, Path], text: str) -> None:
    send(store, files)
    (store.folder / MANIFEST).write_text(text)
    assert send(store, files) == 0
    assert recorded(store) == {name: digest_file(path) for name, path in files.items()}


@pytest.mark.parametrize("how", ["refused", "spoilt"])
def test_file_that_did_not_arrive_is_not_recorded_and_is_sent_again(
    store: Store, files: dict[str, Path], how: str
) -> None:
    """The store has an older file of the same name and size."""
    send(store, files)
    files["figures/b.svg"].write_text("<svg>b.svg 2</svg>")
    getattr(store, how).add("b.svg")
    with pytest.raises((ConnectionError, Damaged)):
        send(store, files)
    assert recorded(store)["figures/b.svg"] != digest_file(files["figures/b.svg"])
    getattr(store, how).clear()
    assert send(store, files) == 1
    assert (store.folder / "figures/b.svg").read_text() == "<svg>b.svg 2</svg>"
    assert recorded(store) == {name: digest_file(path) for name, path in files.items()}


def test_manifest_has_every_file_of_a_run_at_a_server(mirror: Mirror, run: RunFolder, tmp_path: Path) -> None:
    """The manifest includes the table of results, which exists only in MLflow."""
    mirror._artifacts = None  # upload as to a server
    mirror.push(run)
    folder = tmp_path / "arrived"
    folder.mkdir()
    mirror.client.download_artifacts(run_of(mirror.client, run).info.run_id, "", str(folder))
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    arrived = {path.relative_to(folder).as_posix(): digest_file(path) for path in files}
    assert json.loads((folder / MANIFEST).read_text())["files"] == arrived
    assert TABLE in arrived
