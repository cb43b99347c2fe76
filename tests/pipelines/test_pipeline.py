"""The pipeline in use: errors, stops, lost stores, `dvc exp`, `dvc push` and `dvc pull`."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from piecewise.journal.reader import read_journal
from small_project import AUTHOR, EXPERIMENTS, Pipeline
from started import started

pytestmark = pytest.mark.slow


def _commit(pipeline: Pipeline) -> None:
    pipeline.run("git", "add", "-A")
    pipeline.run("git", *AUTHOR, "commit", "-qm", "record", "--allow-empty")


def test_one_broken_experiment_does_not_stop_the_others(pipeline: Pipeline) -> None:
    pipeline.edit("conf/experiment/shallow_regression.yaml", "optimizer: {lr:", "optimizer: {lrr: 1, lr:")
    pipeline.edit("conf/experiment/least_squares.yaml", "lr: 0.8", "lr: 0.6")
    output = pipeline.run("dvc", "repro", "--keep-going", status=255)
    assert "lrr" in output
    assert "Running stage 'evaluate@least_squares'" in output
    pipeline.edit("conf/experiment/shallow_regression.yaml", "optimizer: {lrr: 1, lr:", "optimizer: {lr:")
    pipeline.edit("conf/experiment/least_squares.yaml", "lr: 0.6", "lr: 0.8")
    assert pipeline.repro() <= {"report"}


def test_nothing_is_left_out_of_the_shipped_experiments(pipeline: Pipeline) -> None:
    """No figure, and no metric beside the main ones."""
    evaluated = list((pipeline.root / "results" / "evaluate").glob("*/*/evaluated.json"))
    assert len(evaluated) == 7
    assert [path for path in evaluated if json.loads(path.read_text())["left_out"]] == []
    assert list((pipeline.root / "report").rglob("left_out.json")) == []


def test_single_stage_dag_and_metrics(pipeline: Pipeline) -> None:
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


def test_verify_finds_nothing_until_a_byte_is_altered(pipeline: Pipeline) -> None:
    assert pipeline.repro() <= {"report"}
    output = pipeline.run("piecewise", "verify")
    assert output.count("  ok") >= 6
    damaged = pipeline.root / "results" / "train" / "least_squares" / "run" / "model.safetensors"
    whole = damaged.read_bytes()
    damaged.chmod(0o600)
    damaged.write_bytes(bytes([*whole[:-1], whole[-1] ^ 1]))
    assert "model.safetensors" in pipeline.run("piecewise", "verify", status=1)
    damaged.write_bytes(whole)


def test_half_a_training_is_never_recorded(pipeline: Pipeline) -> None:
    """After SIGTERM, Lightning alone would end with exit code 0, and DVC would record the stage as done."""
    pipeline.edit("conf/experiment/least_squares.yaml", "max_epochs: 2", "max_epochs: 1000000")
    command = ["dvc", "repro", "train@least_squares"]
    with started(*command, stderr=subprocess.STDOUT, cwd=pipeline.root, env=pipeline.environment) as process:
        os.kill(_trainer(pipeline, since=time.time()), signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "exited with 143" in output
    assert "stopped by SIGTERM" in output
    assert "changed" in pipeline.run("dvc", "status", "train@least_squares")
    assert not list((pipeline.root / "results" / "train" / "least_squares").rglob("result.json"))
    pipeline.edit("conf/experiment/least_squares.yaml", "max_epochs: 1000000", "max_epochs: 2")
    pipeline.repro()
    assert (pipeline.root / "results" / "train" / "least_squares" / "run" / "result.json").is_file()
    assert pipeline.repro() == set()


def test_killed_repro_leaves_no_process_and_is_resumed(pipeline: Pipeline) -> None:
    """Only DVC is killed. Its stage notices, stops and leaves a checkpoint."""
    stage, place = "train@least_squares", pipeline.root / "results" / "train" / "least_squares" / "run"
    pipeline.edit("conf/experiment/least_squares.yaml", "max_epochs: 2", "max_epochs: 6000")
    pipeline.repro(stage)
    undisturbed = json.loads((place / "result.json").read_text())
    command = ["dvc", "repro", "--force", "--single-item", stage]
    process = subprocess.Popen(command, cwd=pipeline.root, env=pipeline.environment, stdout=subprocess.DEVNULL)
    trainer = _trainer(pipeline, since=time.time())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 15
    while Path(f"/proc/{trainer}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not (place / "result.json").exists()
    assert "KILLED" in (pipeline.root / "runs" / "pipeline" / "least_squares" / "run" / "journal.jsonl").read_text()
    assert pipeline.repro("--force", "--single-item", stage) == {stage}  # without --force, DVC uses its cache
    record = read_journal(pipeline.root / "results" / "journal" / "least_squares" / "run.jsonl")
    assert record is not None
    assert len(record.resumed) == 1
    assert record.start.tags["command"] == "piecewise train experiment=least_squares"
    sweep = read_journal(pipeline.root / "results" / "journal" / "shallow_regression" / "sweep.jsonl")
    assert sweep is not None
    assert sweep.start.tags["command"] == "piecewise train -m experiment=shallow_regression"
    assert json.loads((place / "result.json").read_text()) == undisturbed
    assert [step for step, _ in record.history()["val/nll"]] == list(range(50, 6001, 50))
    pipeline.edit("conf/experiment/least_squares.yaml", "max_epochs: 6000", "max_epochs: 2")
    pipeline.repro()


def _trainer(pipeline: Pipeline, since: float) -> int:
    """Wait until `least_squares` has a validation loss. Returns the process id of its training."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for path in (pipeline.root / "runs" / "pipeline" / "least_squares").glob("run/journal.jsonl"):
            if b'"val/nll"' in path.read_bytes():
                record = read_journal(path)
                if record is not None and record.start.time > since:  # not the previous run
                    return int(record.start.raw["process"]["pid"])
        time.sleep(0.1)
    raise AssertionError("no training has begun")


def test_lost_store_is_rebuilt_without_training(pipeline: Pipeline) -> None:
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
