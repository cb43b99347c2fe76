"""The pipeline as people use it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from small_project import AUTHOR, EXPERIMENTS, Pipeline

pytestmark = pytest.mark.slow


def _commit(pipeline: Pipeline) -> None:
    pipeline.run("git", "add", "-A")
    pipeline.run("git", *AUTHOR, "commit", "-qm", "record", "--allow-empty")


def test_one_broken_experiment_does_not_stop_the_others(pipeline: Pipeline) -> None:
    pipeline.edit("conf/experiment/shallow_regression.yaml", "optimizer: {lr:", "optimizer: {lrr: 1, lr:")
    pipeline.edit("conf/experiment/least_squares.yaml", "lr: 0.8", "lr: 0.6")
    said = pipeline.run("dvc", "repro", "--keep-going", status=255)
    assert "lrr" in said
    assert "Running stage 'evaluate@least_squares'" in said
    pipeline.edit("conf/experiment/shallow_regression.yaml", "optimizer: {lrr: 1, lr:", "optimizer: {lr:")
    pipeline.edit("conf/experiment/least_squares.yaml", "lr: 0.6", "lr: 0.8")
    assert pipeline.repro() <= {"report"}


def test_single_stage_and_views(pipeline: Pipeline) -> None:
    assert pipeline.repro("train@mnist_cnn") == set()
    assert "train@mnist_cnn" in pipeline.run("dvc", "dag")
    assert "test/accuracy" in pipeline.run("dvc", "metrics", "show")


def test_experiment_with_another_value(pipeline: Pipeline) -> None:
    _commit(pipeline)
    pipeline.run("dvc", "exp", "run", "-n", "narrow", "-S", "conf/model/cnn.yaml:width=[4,8,16]")
    shown = json.loads(pipeline.run("dvc", "metrics", "diff", "--json"))
    assert "results/metrics/mnist_cnn.json" in shown
    assert "narrow" in pipeline.run("dvc", "exp", "show", "--csv")
    pipeline.run("git", "checkout", "-q", "--", ".")
    pipeline.run("dvc", "checkout", "--quiet")
    assert pipeline.repro() == set()


def test_lost_store_is_made_again_without_training(pipeline: Pipeline) -> None:
    (pipeline.root / "mlflow.db").unlink()
    assert pipeline.repro() == set()
    pipeline.run("piecewise", "sync")
    with closing(sqlite3.connect(pipeline.root / "mlflow.db")) as store:
        names = {name for (name,) in store.execute("SELECT name FROM experiments WHERE lifecycle_stage = 'active'")}
        statuses = {status for (status,) in store.execute("SELECT status FROM runs")}
    assert names == set(EXPERIMENTS)
    assert statuses == {"FINISHED"}
    assert not (pipeline.root / "mlruns").exists()


def test_pushed_results_are_pulled_and_nothing_runs(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.run("dvc", "remote", "add", "--force", "--local", "-d", "store", str(tmp_path / "remote"))
    pipeline.run("dvc", "push", "--quiet")
    _commit(pipeline)
    clone = Pipeline(tmp_path / "a clone")
    pipeline.run("git", "clone", "-q", str(pipeline.root), str(clone.root))
    clone.run("dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "remote"))
    clone.run("dvc", "pull", "--quiet")
    assert clone.repro() == set()
    assert (clone.root / "report" / "index.html").read_bytes() == (pipeline.root / "report" / "index.html").read_bytes()
    clone.run("piecewise", "sync")
    with closing(sqlite3.connect(clone.root / "mlflow.db")) as store:
        assert store.execute("SELECT count(*) FROM runs").fetchone()[0] > len(EXPERIMENTS)
