"""One small project for all tests of the pipeline; each leaves it as it found it."""

from __future__ import annotations

import shutil

import pytest

from small_project import AUTHOR, ROOT, Pipeline, make_small


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The shipped project with three experiments of one or two epochs, on images made for the test."""
    root = tmp_path_factory.mktemp("pipeline") / "a project"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("conf", "src", "pipelines"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in ("dvc.yaml", "requirements.lock", ".dvcignore", ".gitignore", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc")
    make_small(root)
    pipeline = Pipeline(root)
    pipeline.run("git", "init", "-q")
    pipeline.run("git", "add", "-A")
    pipeline.run("git", *AUTHOR, "commit", "-qm", "small")
    assert pipeline.repro() >= {"compose", "fetch", "train@mnist_cnn", "evaluate@mnist_cnn", "report"}
    return pipeline
