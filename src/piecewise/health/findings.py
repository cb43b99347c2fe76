"""What `piecewise doctor` and `piecewise verify` find."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path

from piecewise.manifest import TEMPORARY_PATTERN, digest_file
from piecewise.project import Project


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"  # does not change the exit code
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """What is the case, and a remedy: a command if one exists."""

    level: Level
    what: str
    remedy: str = ""


def fine(what: str) -> Finding:
    return Finding(Level.OK, what)


def note(what: str, remedy: str = "") -> Finding:
    return Finding(Level.NOTE, what, remedy)


def fault(what: str, remedy: str) -> Finding:
    return Finding(Level.FAULT, what, remedy)


def first_of(names: Sequence[str], separator: str = ", ", count: int = 3) -> str:
    """The first `count` names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return separator.join(names[:count]) + more


def removal(path: str) -> str:
    """The command that removes a file or folder."""
    return f"rm -rf {shlex.quote(path)}"


@dataclass
class HashReport:
    """The result for one kind of files: what was hashed, its faults, and notes on what could not be verified."""

    kind: str
    project: Project
    num_bytes: int = 0
    files: set[Path] = field(default_factory=set)
    faults: dict[str, Finding] = field(default_factory=dict)  # by path; the first fault of a path stays
    notes: list[str] = field(default_factory=list)

    def digest(self, path: Path, algorithm: str = "sha256") -> str:
        """Hash a file and count it. The digest is empty if the file cannot be read."""
        try:
            found = digest_file(path, algorithm)
            num_bytes = path.stat().st_size
        except OSError:
            return ""
        if path not in self.files:
            self.files.add(path)
            self.num_bytes += num_bytes
        return found

    def add_fault(self, path: Path, what: str, remedy: str) -> None:
        self.faults.setdefault(self.name(path), fault(what, remedy))

    def note_unhashed(self, folder: Path, why: str) -> None:
        """Note the files below `folder` that have not been hashed, and why."""
        unhashed = [path for path in sorted(folder.rglob("*")) if path.is_file() and path not in self.files]
        names = [self.name(path) for path in unhashed if not fnmatch(path.name, TEMPORARY_PATTERN)]
        if names:
            self.notes.append(f"{first_of(names, count=1)}: {why}, not verified")

    def name(self, path: Path) -> str:
        return self.project.name(path)
