"""One small project for all tests of the pipeline. Each test restores what it changes."""

from __future__ import annotations

import pytest

from shipped import copy_shipped
from small_project import AUTHOR, EXPERIMENTS, Pipeline, make_small


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The shipped project with three experiments of one or two epochs, on images made for the test."""
    pipeline = copy_shipped(tmp_path_factory.mktemp("pipeline") / "a project", *EXPERIMENTS)
    make_small(pipeline.root)
    pipeline.run("git", "add", "-A")
    pipeline.run("git", *AUTHOR, "commit", "-qm", "small")
    assert pipeline.repro() >= {"compose", "fetch", "train@mnist_cnn", "evaluate@mnist_cnn", "report"}
    return pipeline
