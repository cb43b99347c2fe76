"""What a server's manifest says has arrived is what was seen to arrive."""

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
from piecewise.tracking.mirror.run_upload import TABLE
from piecewise.tracking.mirror.uploads import MANIFEST, Damaged, Uploads
from recorded import run_of


class Store:
    """The artifacts of one run, in a folder. `refused` ones cannot be sent, `spoilt` ones arrive as junk."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.refused: set[str] = set()
        self.spoilt: set[str] = set()
        self.sent: list[str] = []

    def list_artifacts(self, run_id: str, folder: str | None = None) -> list[Any]:
        place = self.place / (folder or "")
        found = [path for path in place.iterdir() if path.is_file()] if place.is_dir() else []
        names = [path.relative_to(self.place).as_posix() for path in found]
        return [
            SimpleNamespace(path=name, file_size=path.stat().st_size, is_dir=False)
            for name, path in zip(names, found, strict=True)
        ]

    def log_artifact(self, run_id: str, path: str, folder: str | None = None) -> None:
        name = Path(path).name
        if name in self.refused:
            raise ConnectionError(name)
        target = self.place / (folder or "") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        if name in self.spoilt:
            target.write_bytes(b"x" * target.stat().st_size)
        self.sent.append(name)

    def get_run(self, run_id: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(artifact_uri=str(self.place)))

    def log_text(self, run_id: str, text: str, name: str) -> None:
        (self.place / name).write_text(text)


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
    digests: dict[str, str] = json.loads((store.place / MANIFEST).read_text())["files"]
    return digests


def test_what_is_there_is_not_sent_again(store: Store, files: dict[str, Path]) -> None:
    assert (send(store, files), send(store, files)) == (3, 0)
    assert recorded(store) == {name: digest_file(path) for name, path in files.items()}


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_manifest_is_written_anew(store: Store, files: dict[str, Path], text: str) -> None:
    send(store, files)
    (store.place / MANIFEST).write_text(text)
    assert send(store, files) == 0
    assert recorded(store) == {name: digest_file(path) for name, path in files.items()}


@pytest.mark.parametrize("how", ["refused", "spoilt"])
def test_what_did_not_arrive_is_not_recorded_and_comes_again(store: Store, files: dict[str, Path], how: str) -> None:
    """Though a file of the same name and size is there."""
    send(store, files)
    files["figures/b.svg"].write_text("<svg>b.svg 2</svg>")
    getattr(store, how).add("b.svg")
    with pytest.raises((ConnectionError, Damaged)):
        send(store, files)
    assert recorded(store)["figures/b.svg"] != digest_file(files["figures/b.svg"])
    getattr(store, how).clear()
    assert send(store, files) == 1
    assert (store.place / "figures/b.svg").read_text() == "<svg>b.svg 2</svg>"
    assert recorded(store) == {name: digest_file(path) for name, path in files.items()}


def test_manifest_has_every_file_of_a_run_at_a_server(mirror: Mirror, run: RunFolder, tmp_path: Path) -> None:
    """The table of results too, which is written for MLflow alone."""
    mirror._artifacts = None  # as at a server
    mirror.push(run)
    place = tmp_path / "arrived"
    place.mkdir()
    mirror.client.download_artifacts(run_of(mirror.client, run).info.run_id, "", str(place))
    files = [path for path in place.rglob("*") if path.is_file() and path.name != MANIFEST]
    arrived = {path.relative_to(place).as_posix(): digest_file(path) for path in files}
    assert json.loads((place / MANIFEST).read_text())["files"] == arrived
    assert TABLE in arrived
