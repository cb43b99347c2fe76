"""Manifests: the SHA-256 of every file in a finished folder. They reveal later damage, even of a single bit."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from piecewise.durable import write_atomic
from piecewise.errors import PiecewiseError

MANIFEST = "manifest.json"
JOURNAL = "journal.jsonl"  # a folder that has one is a run
TEMPORARY_PATTERN = ".*.tmp"  # files that a killed `write_atomic` leaves behind


class AlteredManifest(PiecewiseError):
    """A manifest differs from what was written, so nothing in it can be trusted."""


def write_manifest(folder: Path) -> None:
    """Record the digest of every file below `folder`, except those of a sweep's jobs: each job has its own manifest."""
    files = {name: digest_file(path) for name, path in _covered(folder).items()}
    write_sealed(folder / MANIFEST, {"files": files})


def update_manifest(folder: Path, changed: Iterable[str], removed: Iterable[str] = ()) -> None:
    """Record again the files and folders `changed`, which were written on purpose; forget those `removed` on purpose.

    Other entries are kept: hashing their files again would record damage as correct. A folder without a
    manifest gets none. Raises AlteredManifest.
    """
    if not (folder / MANIFEST).is_file():
        return
    content = read_sealed(folder / MANIFEST)
    folders, gone = [PurePosixPath(name) for name in changed], [PurePosixPath(name) for name in removed]
    kept = {name: digest for name, digest in content["files"].items() if not _is_in(name, [*folders, *gone])}
    written = {name: digest_file(path) for name, path in _covered(folder).items() if _is_in(name, folders)}
    write_sealed(folder / MANIFEST, {"files": kept | written})


def remove_manifest(folder: Path) -> None:
    """Call this before writing to a finished folder again; `write_manifest` follows when it is finished."""
    (folder / MANIFEST).unlink(missing_ok=True)


def manifest_faults(folder: Path, digest: Callable[[Path], str] | None = None) -> dict[str, str]:
    """The altered, missing and unexpected files of a folder that has a manifest, in the words of `differences`.

    `digest` may replace `digest_file`.
    """
    try:
        content = read_sealed(folder / MANIFEST)
    except AlteredManifest:
        return {MANIFEST: "was altered"}
    found = {name: (digest or digest_file)(path) for name, path in _covered(folder).items()}
    return differences(content["files"], found)


def differences(recorded: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """How the digests `found` differ from those recorded, by name; an empty digest marks an unreadable file."""
    faults = {}
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            faults[name] = "is missing"
        elif not found[name]:
            faults[name] = "cannot be read"
        elif name not in recorded:
            faults[name] = "was not there"
        elif found[name] != recorded[name]:
            faults[name] = "was altered"
    return faults


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """The file's digest in hexadecimal; the file is read block by block."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write `content` together with its own digest, in the only form that `read_sealed` accepts."""
    write_atomic(path, _sealed(content))


def read_sealed(path: Path) -> dict[str, Any]:
    """What `write_sealed` wrote. Raises AlteredManifest if a single bit of the file has changed."""
    try:
        data = path.read_bytes()
        content: dict[str, Any] = json.loads(data)
        del content["digest"]
        is_whole = _sealed(content) == data
    except (OSError, ValueError, TypeError, KeyError):
        is_whole = False
    if not is_whole:
        raise AlteredManifest(f"{path} was altered, or cannot be read")
    return content


def _sealed(content: dict[str, Any]) -> bytes:
    # JSON escapes to ASCII, so a file name that is not valid UTF-8 survives.
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**content, "digest": digest}, indent=1, sort_keys=True) + "\n").encode()


def _covered(folder: Path) -> dict[str, Path]:
    others = {journal.parent.name for journal in folder.glob(f"*/{JOURNAL}")}
    found = []
    for place, folders, names in os.walk(folder):
        if Path(place) == folder:  # other processes may change the files of a sweep's jobs
            folders[:] = [name for name in folders if name not in others]
        found += [Path(place, name) for name in names if not fnmatch(name, TEMPORARY_PATTERN)]
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(found)
        if path.is_file() and path != folder / MANIFEST
    }


def _is_in(name: str, folders: list[PurePosixPath]) -> bool:
    return any(PurePosixPath(name).is_relative_to(folder) for folder in folders)
