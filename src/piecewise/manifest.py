"""Manifests: the SHA-256 of every file in a folder that is finished, so that a bit that changes later is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from piecewise.durable import write_atomic
from piecewise.errors import PiecewiseError

NAME = "manifest.json"
JOURNAL = "journal.jsonl"  # a folder with one is a run
TEMPORARY = ".*.tmp"  # what `write_atomic` leaves when it is killed: nobody's file


class AlteredManifest(PiecewiseError):
    """A manifest that is not as it was written: nothing in it can be believed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was altered, or cannot be read")


def write_manifest(folder: Path) -> None:
    """Record every file below `folder` as it is now, those of other runs aside: a sweep's have their own."""
    files = {name: digest_file(path) for name, path in _covered(folder).items()}
    write_sealed(folder / NAME, {"files": files})


def update_manifest(folder: Path, changed: Iterable[str]) -> None:
    """Record anew what lies at or below the names `changed`, after somebody wrote or removed it on purpose.

    All else stays as it was recorded: damage must not become the truth. A folder without a manifest is left so.
    Raises AlteredManifest.
    """
    if not (folder / NAME).is_file():
        return
    content = read_sealed(folder / NAME)
    places = [PurePosixPath(name) for name in changed]
    kept = {name: digest for name, digest in content["files"].items() if not _is_in(name, places)}
    written = {name: digest_file(path) for name, path in _covered(folder).items() if _is_in(name, places)}
    write_sealed(folder / NAME, {"files": kept | written})


def remove_manifest(folder: Path) -> None:
    """Before a folder is written to again: until it is finished, nobody can say what belongs in it."""
    (folder / NAME).unlink(missing_ok=True)


def check_manifest(folder: Path) -> list[str]:
    """The altered, missing and unexpected files of a folder that has a manifest, one sentence for each."""
    return [f"{name} {what}" for name, what in manifest_faults(folder).items()]


def manifest_faults(folder: Path, digest: Callable[[Path], str] | None = None) -> dict[str, str]:
    """What is wrong by the file's name, as `differences` says it; `digest` hashes a file in place of `digest_file`."""
    try:
        content = read_sealed(folder / NAME)
    except AlteredManifest:
        return {NAME: "was altered"}
    found = {name: (digest or digest_file)(path) for name, path in _covered(folder).items()}
    return differences(content["files"], found)


def differences(recorded: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """How the digests `found` differ from those recorded, by name; an empty digest is of a file nobody could read."""
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
    """The file's digest in hexadecimal, read block by block."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write `content` in the one form that `read_sealed` accepts, with its own digest in it."""
    write_atomic(path, _sealed(content))


def read_sealed(path: Path) -> dict[str, Any]:
    """What `write_sealed` wrote. Raises AlteredManifest if a single bit of the file is another."""
    try:
        data = path.read_bytes()
        content: dict[str, Any] = json.loads(data)
        del content["digest"]
        is_whole = _sealed(content) == data
    except (OSError, ValueError, TypeError, KeyError):
        is_whole = False
    if not is_whole:
        raise AlteredManifest(path)
    return content


def _sealed(content: dict[str, Any]) -> bytes:
    # Escaped to ASCII: a name that is not valid UTF-8 survives.
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**content, "digest": digest}, indent=1, sort_keys=True) + "\n").encode()


def _covered(folder: Path) -> dict[str, Path]:
    others = [journal.parent for journal in folder.glob(f"*/{JOURNAL}")]
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / NAME and not fnmatch(path.name, TEMPORARY)
        if not any(path.is_relative_to(other) for other in others)
    }


def _is_in(name: str, places: list[PurePosixPath]) -> bool:
    return any(PurePosixPath(name).is_relative_to(place) for place in places)
