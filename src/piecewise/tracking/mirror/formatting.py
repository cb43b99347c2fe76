"""A journal's first record as MLflow's parameters and tags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from piecewise.processes import Process

NOTE = "mlflow.note.content"  # the description on the page of a run or an experiment
COMMIT = "mlflow.source.git.commit"
SOURCE = "mlflow.source.name"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # shows pages for runs and models, not for prompts
UNTRACKED = ("about", "tracking")  # configuration groups that do not define the experiment


def run_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags in a journal's first record, under MLflow's own names where it has them."""
    known = {COMMIT: tags.get("git.commit"), SOURCE: tags.get("command")}
    own = {key: value for key, value in tags.items() if key != "command"}
    return own | {key: value for key, value in known.items() if value}


def experiment_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags of a new experiment: its note is the question, the first line of its first run's note."""
    question = tags.get(NOTE, "").partition("\n")[0]
    return KIND | ({NOTE: question} if question and not question.startswith("`") else {})


def as_text(process: Process | None) -> str:
    """A process as the JSON text of a tag."""
    return json.dumps(process.as_dict() if process is not None else {})


def flatten(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """A nested configuration as pairs of `group.option` and text; a list is one option."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in (() if key else UNTRACKED) and name != "_partial_":  # Hydra's keyword, not an option
                yield from flatten(item, f"{key}.{name}" if key else name)
    else:
        yield key, value if isinstance(value, str) else json.dumps(value)
