"""What a run is described by in MLflow: its parameters, and the tags that its pages show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

NOTE = "mlflow.note.content"  # the description, on the page of a run or of an experiment
COMMIT = "mlflow.source.git.commit"
SOURCE = "mlflow.source.name"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # pages about runs and models, none about prompts
UNTRACKED = ("about", "tracking")  # configuration that is no parameter of the experiment


def tags_of(start: dict[str, Any]) -> dict[str, str]:
    """The tags that a journal's first record gives, under MLflow's own names where it has some."""
    tags = {key: str(value) for key, value in start.get("tags", {}).items()}
    known = {COMMIT: tags.get("git.commit"), SOURCE: tags.pop("command", None)}
    return tags | {key: value for key, value in known.items() if value}


def experiment_tags(start: dict[str, Any]) -> dict[str, str]:
    """What an experiment's page says, from the first of its runs: the question, which its note begins with."""
    question = str(start.get("tags", {}).get(NOTE, "")).partition("\n")[0]
    return KIND | ({NOTE: question} if question and not question.startswith("`") else {})


def flatten(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """A nested configuration as `group.option` and text; lists stay together."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in (() if key else UNTRACKED) and name != "_partial_":  # which is Hydra's own affair
                yield from flatten(item, f"{key}.{name}" if key else name)
    else:
        yield key, value if isinstance(value, str) else json.dumps(value)
