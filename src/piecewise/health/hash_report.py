"""What came of hashing files again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from piecewise.manifest import TEMPORARY, digest_file
from piecewise.project import Project


@dataclass(frozen=True)
class Fault:
    """A file that is not as it was written."""

    path: str  # from the project's root
    what: str
    remedy: str


@dataclass
class HashReport:
    """One kind of files: how much of it was hashed, what is not as it was written, what nobody can say."""

    kind: str
    project: Project
    num_bytes: int = 0
    files: set[Path] = field(default_factory=set)
    faults: dict[str, Fault] = field(default_factory=dict)  # by path: the first to speak knows the remedy best
    notes: list[str] = field(default_factory=list)

    def digest(self, path: Path, algorithm: str = "sha256") -> str:
        """The file's digest, counted as hashed; empty if the disk does not give the file back."""
        try:
            found = digest_file(path, algorithm)
            num_bytes = path.stat().st_size
        except OSError:
            return ""
        if path not in self.files:
            self.files.add(path)
            self.num_bytes += num_bytes
        return found

    def fault(self, path: Path, what: str, remedy: str) -> None:
        self.faults.setdefault(self.name(path), Fault(self.name(path), what, remedy))

    def note_rest(self, folder: str, why: str) -> None:
        """Say that there are files below `folder` that nobody has hashed, because of `why`."""
        rest = sorted(
            path
            for path in (self.project / folder).rglob("*")
            if path.is_file() and path not in self.files and not fnmatch(path.name, TEMPORARY)
        )
        if rest:
            more = f" and {len(rest) - 1} more" if len(rest) > 1 else ""
            self.notes.append(f"{self.name(rest[0])}{more}: {why}, not verified")

    def name(self, path: Path) -> str:
        """What a person calls a path: as it is from the project's root, if it is in the project."""
        return path.relative_to(self.project).as_posix() if path.is_relative_to(self.project) else str(path)


def removal(path: str) -> str:
    """The command that removes a file or folder."""
    return f"rm -rf {shlex.quote(path)}"
