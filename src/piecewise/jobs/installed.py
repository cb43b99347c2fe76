"""The installed packages that piecewise needs, for a project without a lock file."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import distributions

from packaging.markers import Marker
from packaging.utils import canonicalize_name

OWN_NAME = "piecewise-experiments"
REQUIREMENT = re.compile(r"([\w.-]+) *(?:\[(.*?)\])?[^;]*(?:; *(.+))?")  # name, extras, marker


@cache
def installed_requirements() -> list[str]:
    """`name==version` of every installed package that piecewise requires, directly or not; sorted.

    Of a piecewise that is not installed, which states no requirements, all packages count.
    """
    packages = _read_packages()
    names = _required(packages) if OWN_NAME in packages else packages
    return sorted(f"{name}=={packages[name][0]}" for name in names if name != OWN_NAME)


def _read_packages() -> dict[str, tuple[str, list[str]]]:
    """Version and requirements of each installed package, by name.

    Reads only the lines it needs: importlib.metadata parses every description as well, which takes 0.3 s.
    """
    packages: dict[str, tuple[str, list[str]]] = {}
    for distribution in distributions():
        header = (distribution.read_text("METADATA") or "").partition("\n\n")[0]
        fields = [(key, value) for key, _, value in (line.partition(": ") for line in header.splitlines())]
        single = dict(fields)
        if "Name" in single:  # of two installations, Python imports the first
            required = [value for key, value in fields if key == "Requires-Dist"]
            packages.setdefault(canonicalize_name(single["Name"]), (single["Version"], required))
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
            if ("extra" in marker) == bool(extra) and (not marker or _applies(marker, extra)):
                waiting += [(canonicalize_name(name), item.strip()) for item in ("", *extras.split(","))]
    return {package for package, _ in visited}


@cache
def _applies(marker: str, extra: str) -> bool:
    return Marker(marker).evaluate({"extra": extra})
