"""What a look at one thing found, and how to look at several."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from piecewise.project import Project


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"  # worth knowing; nothing fails for it
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """What is the case, and the remedy: a command where there is one."""

    level: Level
    what: str
    remedy: str = ""


def fine(what: str) -> Finding:
    return Finding(Level.OK, what)


def note(what: str, remedy: str = "") -> Finding:
    return Finding(Level.NOTE, what, remedy)


def fault(what: str, remedy: str) -> Finding:
    return Finding(Level.FAULT, what, remedy)


@dataclass(frozen=True)
class Check:
    """`look` yields what is worth saying about the project at a root; if it has nothing to say, `otherwise` is said."""

    name: str
    otherwise: str
    look: Callable[[Project], Iterable[Finding]]

    def findings(self, project: Project) -> list[Finding]:
        """At least one. A check that fails is itself a fault, so that nothing passes for looked at."""
        found: list[Finding] = []
        try:
            found.extend(self.look(project))
        except Exception as error:
            what = f"this check failed: {type(error).__name__}: {' '.join(str(error).split())}"
            found.append(fault(what, "repair what the error names; if that is sound, this is a bug in piecewise"))
        return found or [fine(self.otherwise)]


def diagnose(project: Project, checks: Iterable[Check]) -> list[tuple[str, Finding]]:
    """Every finding of every check, with the check's name."""
    return [(check.name, finding) for check in checks for finding in check.findings(project)]
