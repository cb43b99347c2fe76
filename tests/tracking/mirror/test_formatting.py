from __future__ import annotations

import pytest

from piecewise.tracking.mirror.formatting import experiment_tags, flatten, run_tags

TAGS = {"git.commit": "abc", "command": "piecewise train a=1", "mlflow.note.content": "Why?\n\n`piecewise`"}


def test_what_mlflow_has_a_name_for_gets_it() -> None:
    tags = run_tags(TAGS)
    assert tags["mlflow.source.git.commit"] == tags["git.commit"] == "abc"
    assert tags["mlflow.source.name"] == "piecewise train a=1"
    assert "command" not in tags
    assert run_tags({}) == {}


@pytest.mark.parametrize(
    ("note", "said"), [("Why?\n\n`piecewise train`", "Why?"), ("`piecewise train`", None), ("", None)]
)
def test_an_experiment_is_described_by_its_question(note: str, said: str | None) -> None:
    tags = experiment_tags({"mlflow.note.content": note})
    assert tags.get("mlflow.note.content") == said
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_parameters_are_the_experiments_own() -> None:
    config = {"seed": 0, "about": {"question": "x"}, "tracking": None, "model": {"_partial_": True, "width": [8, 16]}}
    assert dict(flatten(config)) == {"seed": "0", "model.width": "[8, 16]"}
    assert dict(flatten({"numerics": {"about": 1}})) == {"numerics.about": "1"}
