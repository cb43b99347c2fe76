"""What the shipped experiments ask and expect, read from their files without Hydra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput


def experiments(conf: Path) -> list[str]:
    """The names of the shipped experiments."""
    return sorted(path.stem for path in (conf / "experiment").glob("*.yaml"))


def read_about(conf: Path, experiment: str) -> dict[str, Any]:
    """The `about` of one experiment. Raises BadInput if its file has none."""
    path = conf / "experiment" / f"{experiment}.yaml"
    try:
        about = (yaml.safe_load(path.read_text()) or {}).get("about")
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(about, dict) or not about.get("question"):
        raise BadInput(f"{path} has no about.question")
    return about
