"""Where a run comes from: its commit and its installed packages."""

import hashlib
import re
import subprocess
from functools import cache
from importlib.metadata import distributions

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from piecewise.project import Project

OWN_NAME = "piecewise-experiments"
REQUIREMENT = re.compile(r"([\w.-]+) *(?:\[(.*?)\])?[^;]*(?:; *(.+))?")  # name, extras, marker


def lock_digest() -> str:
    """SHA-256 of the project's lock, without its comments, which change no package.

    Without a lock: of the installed versions of all packages that piecewise needs.
    """
    path = Project.find().lock
    if path.is_file():
        lines = path.read_bytes().splitlines(keepends=True)
        content = b"".join(line for line in lines if line.strip() and not line.lstrip().startswith(b"#"))
    else:
        content = "\n".join(installed_requirements()).encode()
    return hashlib.sha256(content).hexdigest()


def git_state() -> dict[str, str]:
    """The tags `git.commit` and `git.dirty`, which is true, false or unknown; empty outside a checkout.

    Changes of `dvc.lock` do not count: it records results, and another machine's may differ with the same source.
    """
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    changes = _git("status", "--porcelain", "--", ".", ":(exclude)dvc.lock")
    return {"git.commit": commit, "git.dirty": "unknown" if changes is None else str(bool(changes)).lower()}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def installed_requirements() -> list[str]:
    """`name==version` of every installed package that piecewise requires, directly or not; sorted.

    If piecewise itself is not installed, its requirements are unknown and all packages count.
    """
    packages = _read_packages()
    names = _required(packages) if OWN_NAME in packages else packages
    return sorted(f"{name}=={packages[name][0]}" for name in names if name != OWN_NAME)


def _read_packages() -> dict[str, tuple[str, list[str]]]:
    """Version and requirements of each installed package, by name.

    Parses only the headers: importlib.metadata parses every description as well, which takes 0.3 s.
    """
    packages: dict[str, tuple[str, list[str]]] = {}
    for distribution in distributions():
        header = (distribution.read_text("METADATA") or "").partition("\n\n")[0]
        fields = [(key, value) for key, _, value in (line.partition(": ") for line in header.splitlines())]
        by_key = dict(fields)
        if "Name" in by_key:
            required = [value for key, value in fields if key == "Requires-Dist"]
            # Of two installations Python imports the first.
            packages.setdefault(canonicalize_name(by_key["Name"]), (by_key["Version"], required))
    return packages


def _required(packages: dict[str, tuple[str, list[str]]]) -> set[str]:
    waiting, visited = [(OWN_NAME, "")], set()  # (package, extra); the extra "" is the package itself
    while waiting:
        package, extra = item = waiting.pop()
        if item in visited or package not in packages:
            continue
        visited.add(item)
        for requirement in packages[package][1]:
            name, extras, marker = REQUIREMENT.match(requirement).groups("")  # type: ignore[union-attr]
            # The package's own requirements, or those of one extra.
            if ("extra" in marker) == bool(extra) and (not marker or _applies(marker, extra)):
                waiting += [(canonicalize_name(name), wanted.strip()) for wanted in ("", *extras.split(","))]
    return {package for package, _ in visited}


@cache
def _applies(marker: str, extra: str) -> bool:
    return Marker(marker).evaluate({"extra": extra})
