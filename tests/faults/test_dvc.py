"""`dvc repro` stopped or killed at any moment records no half training, leaves no process, and can be repeated."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path

import pytest

from piecewise.durable import read_records
from piecewise.journal.reader import read_journal
from piecewise.training import checkpoint_files
from piecewise.training.checkpoints import load_checkpoint
from shipped import copy_shipped, wait_for_processes_to_end
from small_project import Pipeline
from started import started
from trials import Trials

pytestmark = pytest.mark.slow

STAGE = "train@least_squares"
LIVE = Path("runs/pipeline/least_squares/run")
RESULT = Path("results/train/least_squares/run/result.json")
JOURNAL = Path("results/journal/least_squares/run.jsonl")
AGAIN = ("--force", "--single-item", STAGE)  # without --force, DVC would take an earlier result from its cache


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A pipeline with one experiment, whose data are made but which is not trained yet."""
    pipeline = copy_shipped(tmp_path_factory.mktemp("dvc") / "a project", "least_squares")
    # No models are logged to MLflow: exporting one takes as long as everything else.
    pipeline.edit("conf/experiment/least_squares.yaml", "select: last", "select: last\nlog_model: none")
    pipeline.repro("synthesise@line")
    return pipeline


def set_epochs(pipeline: Pipeline, count: int) -> None:
    path = pipeline.root / "conf" / "experiment" / "least_squares.yaml"
    path.write_text(re.sub(r"max_epochs: \d+", f"max_epochs: {count}", path.read_text()))


def repro(pipeline: Pipeline, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return started("dvc", "repro", *arguments, stderr=subprocess.STDOUT, cwd=pipeline.root, env=pipeline.environment)


def wait_for_training(root: Path, count: int) -> int:
    """Wait until the journal has `count` validations. Returns the process id of the training."""
    path, deadline = root / LIVE / "journal.jsonl", time.monotonic() + 120
    while not path.is_file() or path.read_bytes().count(b'"val/nll"') < count:
        assert time.monotonic() < deadline, "no training has begun"
        time.sleep(0.02)
    return int(next(read_records(path))["process"]["pid"])


def test_sigterm_under_dvc_repro(pipeline: Pipeline, trials: Trials) -> None:
    """The signal goes to the training, to dvc, or to dvc's whole process group."""
    root = pipeline.root
    set_epochs(pipeline, 10_000_000)
    for rng in trials("SIGTERM under dvc repro: KILLED, checkpoint, stage not recorded", 20):
        shutil.rmtree(root / "runs", ignore_errors=True)
        with repro(pipeline, STAGE) as process:
            trainer = wait_for_training(root, rng.randrange(1, 40))
            time.sleep(rng.random() * 0.5)
            target = rng.choice([trainer, process.pid, -process.pid])
            os.kill(target, signal.SIGTERM)
            output, _ = process.communicate(timeout=60)
            assert process.returncode == (255 if target == trainer else -signal.SIGTERM), output
        wait_for_processes_to_end(root, 15)
        assert "error: stopped by SIGTERM" in output
        record, newest = read_journal(root / LIVE / "journal.jsonl"), checkpoint_files.newest(root / LIVE)
        assert record is not None
        assert record.end is not None
        assert newest is not None
        assert record.end.status == "KILLED"
        step = load_checkpoint(newest)["global_step"]
        assert record.history()["train/nll"][-1][0] == max(1, step - step % 10)  # log_every_n_steps=10
        assert STAGE not in (root / "dvc.lock").read_text()
        assert not (root / RESULT).exists()


def steps_of_writers(journal: Path) -> list[list[int]]:
    """The validated steps of each process that wrote the run: the one that began it, then each that resumed it."""
    found: list[list[int]] = []
    for entry in read_records(journal):
        if entry["kind"] in ("start", "resume"):
            found.append([])
        elif "val/nll" in entry.get("values", {}):
            found[-1].append(entry["step"])
    return found


def test_dvc_killed_at_any_moment(pipeline: Pipeline, trials: Trials) -> None:
    """The stage notices that dvc is gone, and stops. The next `dvc repro` starts at once, or after the stage's end."""
    root = pipeline.root
    set_epochs(pipeline, 3000)
    began = time.monotonic()
    pipeline.repro(STAGE)
    took = time.monotonic() - began
    undisturbed = json.loads((root / RESULT).read_text())
    for rng in trials("dvc repro killed at any moment: no second writer, goes on", 10):
        with repro(pipeline, *AGAIN) as process:
            time.sleep(rng.random() * took)
            process.kill()
            process.wait()
            if rng.random() < 0.5:
                wait_for_processes_to_end(root, 15)
            assert pipeline.repro(*AGAIN) == {STAGE}
        wait_for_processes_to_end(root, 15)
        assert json.loads((root / RESULT).read_text()) == undisturbed
        writers = steps_of_writers(root / JOURNAL)
        assert len(writers) <= 2
        assert list(chain(*writers)) == list(
            range(50, 3001, 50)
        )  # each once: the second writer resumed the first's run
