"""What the shipped configurations say about themselves, read from their files without Hydra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput

BOUNDS = {"at_least": "≥", "at_most": "≤"}


def experiments(conf: Path) -> list[str]:
    """The names of the shipped experiments."""
    return options(conf, "experiment")


def groups(conf: Path) -> list[str]:
    """The groups that have options; one inside another is `outer/inner`."""
    return sorted({path.parent.relative_to(conf).as_posix() for path in conf.glob("*/**/*.yaml")})


def options(conf: Path, group: str) -> list[str]:
    """What may be chosen in a group."""
    return sorted(path.stem for path in (conf / group).glob("*.yaml"))


def first_comment(conf: Path, group: str, option: str) -> str:
    """What an option's file says at its top; Hydra's `# @package` does not count. Empty if it starts with a key."""
    for line in (conf / group / f"{option}.yaml").read_text("utf-8", errors="replace").splitlines():
        comment = line.lstrip("# ").rstrip()
        if line.strip() and not line.startswith("#"):
            break
        if comment and not comment.startswith("@"):
            return comment
    return ""


def read_about(conf: Path, experiment: str) -> dict[str, Any]:
    """The `about` of one experiment. Raises BadInput if its file has none, or expects what cannot be compared."""
    path = conf / "experiment" / f"{experiment}.yaml"
    where = f"{conf.name}/experiment/{experiment}.yaml"
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{where}: {_problem(error)}") from error
    about = content.get("about") if isinstance(content, dict) else None
    if not isinstance(about, dict) or not about.get("question"):
        raise BadInput(f"{where} has no about.question")
    try:
        expectations(about)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error
    return about


def expectations(about: dict[str, Any]) -> list[str]:
    """What an experiment expects, in words: `test/squared_error ≤ 0.6 when model.width=3`. Raises BadInput."""
    expected = about.get("expected") or []
    if not isinstance(expected, list):
        raise BadInput(f"about.expected={expected!r} must be a list")
    return [_in_words(item) for item in expected]


def _in_words(expectation: Any) -> str:
    if not isinstance(expectation, dict) or not isinstance(expectation.get("metric"), str):
        raise BadInput(f"about.expected has {expectation!r}, which names no metric")
    bounds = {key: expectation[key] for key in BOUNDS if key in expectation}
    when = expectation.get("when") or {}
    if not bounds or any(isinstance(bound, bool) or not isinstance(bound, int | float) for bound in bounds.values()):
        raise BadInput(f"about.expected of {expectation['metric']} needs a number as at_least or at_most")
    if not isinstance(when, dict):
        raise BadInput(f"about.expected of {expectation['metric']}: when={when!r} must be keys with their values")
    words = " and ".join(f"{BOUNDS[key]} {bound:g}" for key, bound in bounds.items())
    condition = ", ".join(f"{key}={value}" for key, value in when.items())
    return f"{expectation['metric']} {words}" + (f" when {condition}" if condition else "")


def _problem(error: Exception) -> str:
    """What is wrong with a file in one short line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(getattr(error, "strerror", None) or error).split())
