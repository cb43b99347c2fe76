"""The outs of DVC's stages, hashed again as DVC does it: it trusts a file whose size and time did not change."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml

from piecewise.health.dvc_cache import DIR, Cache
from piecewise.health.hash_report import HashReport, removal
from piecewise.manifest import differences
from piecewise.project import Project


@dataclass(frozen=True)
class Out:
    """What a stage left, as dvc.lock has it."""

    path: str
    digest: str


def check_outs(project: Project, cache: Cache) -> tuple[HashReport, HashReport]:
    """Hash the outs in the workspace against dvc.lock: those in data/, and the others."""
    data, others = HashReport("data", project), HashReport("DVC outs", project)
    try:
        outs = list(_read_lock(project.dvc_lock))
    except (OSError, yaml.YAMLError, ValueError, AttributeError, KeyError, TypeError):
        others.fault(project.dvc_lock, "cannot be read", "git checkout dvc.lock")
        outs = []
    for out in outs:
        report = data if out.path.startswith("data/") else others
        place = project / out.path
        if not place.exists():
            report.notes.append(f"{out.path}: not here; dvc checkout or dvc repro brings it")
        elif out.digest.endswith(DIR):
            _check_folder(report, out, cache)
        elif report.digest(place, "md5") != out.digest:
            report.fault(place, "differs from dvc.lock", _restoring(out, out.path, out.digest in cache.intact))
    return data, others


def _check_folder(report: HashReport, out: Out, cache: Cache) -> None:
    place = report.project / out.path
    found = {name: report.digest(path, "md5") for name, path in _tracked(report.project, place)}
    if folder_digest(found) == out.digest:
        return
    members = cache.members(out.digest)
    if members is None:
        what = "differs from dvc.lock; the cache cannot say in which file"
        report.fault(place, what, _restoring(out, out.path, False))
        return
    for name, what in differences(members, found).items():
        path = f"{out.path}/{name}"
        if name in members:
            remedy = _restoring(out, path, members[name] in cache.intact)
            report.fault(place / name, what.replace("was altered", "differs from dvc.lock"), remedy)
        else:
            report.fault(place / name, what, removal(path))


def folder_digest(found: dict[str, str]) -> str:
    """DVC's name for a folder whose files have these MD5s."""
    members = [{"md5": digest, "relpath": name} for name, digest in sorted(found.items())]
    return hashlib.md5(json.dumps(members).encode()).hexdigest() + DIR


def _tracked(project: Project, folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of an out by name, without those that DVC was told to ignore."""
    ignore = project / ".dvcignore"
    patterns = [line.strip() for line in ignore.read_text().splitlines()] if ignore.is_file() else []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(fnmatch(part, pattern) for part in parts for pattern in patterns):
            yield "/".join(parts), path


def _read_lock(path: Path) -> Iterator[Out]:
    content = yaml.safe_load(path.read_bytes()) if path.is_file() else {}
    for stage in content.get("stages", {}).values():
        for out in stage.get("outs", []):
            if "md5" in out:
                yield Out(out["path"], out["md5"])


def _restoring(out: Out, path: str, is_cached: bool) -> str:
    """The commands that bring a file back. It is removed first: DVC takes a file of that size and time for its own."""
    return f"{removal(path)}; {f'dvc checkout {shlex.quote(out.path)}' if is_cached else 'dvc repro'}"
