"""The findings of `piecewise doctor`, and the checks that yield them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True)
class Check:
    """A check of a project. If `run` yields no finding, the check's finding is `ok_message`."""

    name: str
    ok_message: str
    run: Callable[[Project], Iterable[Finding]]

    def findings(self, project: Project) -> list[Finding]:
        """At least one finding. A check that raises an error is itself a fault."""
        found: list[Finding] = []
        try:
            found.extend(self.run(project))
        except Exception as error:
            what = f"this check failed: {type(error).__name__}: {' '.join(str(error).split())}"
            found.append(
                fault(what, "repair what the error names; if nothing is wrong there, this is a bug in piecewise")
            )
        return found or [fine(self.ok_message)]


def diagnose(project: Project, checks: Iterable[Check]) -> list[tuple[str, Finding]]:
    """Every finding of every check, after the check's name."""
    return [(check.name, finding) for check in checks for finding in check.findings(project)]
