"""DVC's cache, hashed again: there is no `dvc fsck`, and DVC restores from a damaged object without a word."""

from __future__ import annotations

import configparser
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput
from piecewise.health.hash_report import HashReport, removal
from piecewise.project import Project

DIR = ".dir"  # how DVC marks the digest of a folder: that of the JSON list of its files
UNNAMED = ("size", "nfiles")  # in a remembered run, but in neither of the names it is kept under


@dataclass
class Cache:
    """DVC's cache, and the digests of the objects in it that are what their names say."""

    folder: Path
    intact: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, project: Project) -> Cache:
        """The cache of the project at `root`. Raises BadInput if DVC's configuration cannot be read."""
        config = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            config.read([project / ".dvc" / "config", project / ".dvc" / "config.local"])
        except (configparser.Error, UnicodeDecodeError) as error:
            raise BadInput(f".dvc/config cannot be read: {' '.join(str(error).split())}") from error
        return cls(project / ".dvc" / config.get("cache", "dir", fallback="cache"))

    @property
    def objects(self) -> Path:
        return self.folder / "files" / "md5"

    def members(self, digest: str) -> dict[str, str] | None:
        """The digests of a folder's files by name; None if no intact object says so."""
        if digest not in self.intact:
            return None
        entries = json.loads((self.objects / digest[:2] / digest[2:]).read_bytes())
        return {entry["relpath"]: entry["md5"] for entry in entries}


def check_cache(project: Project) -> tuple[HashReport, Cache]:
    """Hash every object against its own name."""
    report, cache = HashReport("DVC cache", project), Cache.of(project)
    for path in sorted(cache.objects.glob("*/*")):
        name = path.parent.name + path.name
        if not re.fullmatch(r"[0-9a-f]{32}(\.dir)?", name):
            report.notes.append(f"{report.name(path)}: no object of the cache, not verified")
        elif report.digest(path, "md5") == name.removesuffix(DIR):
            cache.intact.add(name)
        else:
            remedy = f"{removal(report.name(path))}; dvc repro, or dvc pull, brings it back if it is needed"
            report.fault(path, "is not what its name says", remedy)
    _check_remembered_runs(report, cache)
    return report, cache


def _check_remembered_runs(report: HashReport, cache: Cache) -> None:
    """What DVC remembers of earlier runs of a stage is kept under two digests of it."""
    for path in sorted((cache.folder / "runs").glob("*/*/*")):
        report.digest(path)
        try:
            names = remembered_names(yaml.safe_load(path.read_bytes()))
        except (OSError, yaml.YAMLError, ValueError, AttributeError, KeyError, TypeError):
            names = ("", "")
        if names != (path.parent.name, path.name):
            report.fault(path, "is not what its name says", removal(report.name(path)))


def remembered_names(run: dict[str, Any]) -> tuple[str, str]:
    """DVC's names for a remembered run: of what it was asked, and of what came of it too."""
    named = _without_sizes(run)
    return _sha256({**named, "outs": [out["path"] for out in named["outs"]]}), _sha256(named)


def _without_sizes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sizes(item) for key, item in value.items() if key not in UNNAMED}
    return [_without_sizes(item) for item in value] if isinstance(value, list) else value


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
