from __future__ import annotations

import pytest

from piecewise.tracking.mirror.facts import experiment_tags, run_tags

TAGS = {"git.commit": "abc", "command": "piecewise train a=1", "mlflow.note.content": "Why?\n\n`piecewise`"}


def test_commit_and_command_get_mlflows_own_tags() -> None:
    tags = run_tags(TAGS)
    assert tags["mlflow.source.git.commit"] == tags["git.commit"] == "abc"
    assert tags["mlflow.source.name"] == "piecewise train a=1"
    assert "command" not in tags
    assert run_tags({}) == {}


@pytest.mark.parametrize(
    ("note", "said"), [("Why?\n\n`piecewise train`", "Why?"), ("`piecewise train`", None), ("", None)]
)
def test_note_of_an_experiment_is_its_question(note: str, said: str | None) -> None:
    tags = experiment_tags({"mlflow.note.content": note})
    assert tags.get("mlflow.note.content") == said
    assert tags["mlflow.experimentKind"] == "custom_model_development"
