"""DVC's files. Every format of DVC's that the package reads is known here, and nowhere else.

No public interface serves: `dvc status` trusts a file's size and time, `dvc-data fsck` deletes a damaged object, and
DVC's Python modules promise nothing between releases. In tests/test_dvc_files.py DVC itself writes each file.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput
from piecewise.project import Project

IGNORE = ".dvcignore"
RWLOCK = Path(".dvc/tmp/rwlock")
FOLDER_SUFFIX = ".dir"  # of a folder's digest, which is the MD5 of the JSON list of its files
NOT_IN_RUN_NAMES = ("size", "nfiles")  # keys of a run-cache entry that its names do not depend on
MALFORMED = (OSError, yaml.YAMLError, ValueError, AttributeError, KeyError, TypeError)  # from a file of another shape


@dataclass(frozen=True)
class Out:
    """An output of a stage, as dvc.lock records it."""

    path: str
    digest: str

    @property
    def is_folder(self) -> bool:
        return self.digest.endswith(FOLDER_SUFFIX)


def read_outs(project: Project) -> list[Out]:
    """The outs with an MD5 in dvc.lock; no command prints them. Raises BadInput if the file cannot be read."""
    return _read_lock(project)[1]


def recorded_stage(project: Project, name: str) -> Any:
    """What dvc.lock records of a stage, or None; `dvc status` only compares, and hashes the stage's files for it."""
    return _read_lock(project)[0].get(name)


def _read_lock(project: Project) -> tuple[dict[str, Any], list[Out]]:
    """The stages in dvc.lock by name, and their outs."""
    if not project.dvc_lock.is_file():
        return {}, []
    try:
        stages = yaml.safe_load(project.dvc_lock.read_bytes()).get("stages", {})
        outs = [out for stage in stages.values() for out in stage.get("outs", [])]
        return stages, [Out(out["path"], out["md5"]) for out in outs if "md5" in out]
    except MALFORMED as error:
        raise BadInput(f"{project.dvc_lock} cannot be read: {error}") from error


@dataclass(frozen=True)
class Cache:
    """DVC's cache below `folder`: objects are named by their MD5. `dvc checkout` restores a damaged object silently."""

    folder: Path

    @classmethod
    def of(cls, project: Project) -> Cache:
        """Raises BadInput if DVC's configuration cannot be read. `dvc cache dir` would start a process of 0.4 s."""
        config = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            config.read([project / ".dvc" / "config", project / ".dvc" / "config.local"])
        except (configparser.Error, UnicodeDecodeError) as error:
            raise BadInput(f".dvc/config cannot be read: {' '.join(str(error).split())}") from error
        return cls(project / ".dvc" / config.get("cache", "dir", fallback="cache"))

    def objects(self) -> Iterator[tuple[Path, str | None]]:
        """Every file where objects belong, and the object's name: a digest, or None if the file is no object."""
        for path in sorted((self.folder / "files" / "md5").glob("*/*")):
            name = path.parent.name + path.name
            yield path, name if re.fullmatch(r"[0-9a-f]{32}(\.dir)?", name) else None

    def members(self, folder_digest: str) -> dict[str, str]:
        """The MD5 of each file of a folder, by name, as the folder's object lists them."""
        path = self.folder / "files" / "md5" / folder_digest[:2] / folder_digest[2:]
        return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_bytes())}

    def runs(self) -> Iterator[Path]:
        """The run cache: an entry for each earlier run of a stage."""
        yield from sorted((self.folder / "runs").glob("*/*/*"))


def is_intact_run(path: Path) -> bool:
    """Whether an entry of the run cache fits its two names; no command of DVC's compares them.

    The folder is named by what went into the run, the file by what went in and came out.
    """
    try:
        run = _without_sizes(yaml.safe_load(path.read_bytes()))
        names = _sha256({**run, "outs": [out["path"] for out in run["outs"]]}), _sha256(run)
    except MALFORMED:
        return False
    return names == (path.parent.name, path.name)


def _without_sizes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sizes(item) for key, item in value.items() if key not in NOT_IN_RUN_NAMES}
    return [_without_sizes(item) for item in value] if isinstance(value, list) else value


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def folder_digest(digests: dict[str, str]) -> str:
    """DVC's digest of a folder whose files have these MD5s. DVC computes it only for files it believes changed."""
    members = [{"md5": digest, "relpath": name} for name, digest in sorted(digests.items())]
    return hashlib.md5(json.dumps(members).encode()).hexdigest() + FOLDER_SUFFIX


def tracked_files(project: Project, folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of an out by name, without those that a .dvcignore excludes.

    Its patterns are git's, relative to its own folder. `dvc check-ignore` is a process of 0.4 s per out.
    """
    from pathspec import GitIgnoreSpec  # here, because training imports this file

    above = [place / IGNORE for place in folder.parents if place.is_relative_to(project.root)]
    ignored = [
        (path.parent, GitIgnoreSpec.from_lines(path.read_text("utf-8").splitlines()))
        for path in (*above, *folder.rglob(IGNORE))
        if path.is_file()
    ]
    for path in folder.rglob("*"):
        rules = [(place, spec) for place, spec in ignored if path.is_relative_to(place)]
        if path.is_file() and not any(spec.match_file(path.relative_to(place)) for place, spec in rules):
            yield path.relative_to(folder).as_posix(), path


def rwlock_holders(project: Project) -> set[int] | None:
    """The processes in DVC's rwlock; None if DVC could not read the file. No command of DVC's shows them."""
    path = project / RWLOCK
    if not path.is_file():
        return set()
    try:
        content = json.loads(path.read_text("utf-8"))
        readers = [info for several in content.get("read", {}).values() for info in several]
        return {int(info["pid"]) for info in (*content.get("write", {}).values(), *readers)}
    except MALFORMED:
        return None
