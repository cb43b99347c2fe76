"""An experiment with two ranks in the pipeline is recorded as one run, with the metrics of one process."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from piecewise.journal.reader import read_journal
from shipped import copy_shipped, processes_in

pytestmark = pytest.mark.slow
NAME = "least_squares"


def test_two_ranks_under_dvc_repro_are_one_run_with_the_metrics_of_one_process(tmp_path: Path) -> None:
    pipeline = copy_shipped(tmp_path / "a project", NAME)
    root, file = pipeline.root, f"conf/experiment/{NAME}.yaml"
    pipeline.edit(file, "  - override /optimizer: gd", "  - override /optimizer: gd\n  - override /trainer: ddp_cpu")
    pipeline.edit(file, "select: last", "select: last\nlog_model: none")
    # After only three steps, a wrong scale of the gradient would show in every metric.
    pipeline.edit(file, "max_epochs: 300, check_val_every_n_epoch: 50", "max_epochs: 3, check_val_every_n_epoch: 1")
    assert pipeline.repro(f"evaluate@{NAME}") >= {f"train@{NAME}", f"evaluate@{NAME}"}
    assert pipeline.repro(f"evaluate@{NAME}") == set()
    assert processes_in(root) == []

    result = json.loads((root / f"results/train/{NAME}/run/result.json").read_text())
    assert (result["status"], result["steps"], result["numerics"]["world_size"]) == ("FINISHED", 3, 2)
    record = read_journal(root / f"results/journal/{NAME}/run.jsonl")
    assert record is not None
    assert [step for step, _ in record.history()["val/nll"]] == [1, 2, 3]
    assert [path.name for path in (root / "runs").glob("[!.]*")] == ["pipeline"]
    assert sorted(path.name for path in (root / f"runs/pipeline/{NAME}").iterdir()) == ["key", "run"]
    assert [path for path in root.rglob(".rank*") if ".git" not in path.parts] == []
    with closing(sqlite3.connect(root / "mlflow.db")) as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
        points = "SELECT count(*), count(DISTINCT step) FROM metrics WHERE key = 'val/nll'"
        assert store.execute(points).fetchone() == (3, 3)

    pipeline.run("piecewise", "train", f"experiment={NAME}", "trainer.devices=1", "tracking=none")
    (place,) = (root / "runs").glob("2*")
    alone = json.loads((place / "evaluation" / "metrics.json").read_text())
    shared = json.loads((root / f"results/metrics/{NAME}.json").read_text())
    assert shared == pytest.approx(alone, rel=1e-5)
