"""The same job gives the same bits in another process and another folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from piecewise.analysis.evaluate import evaluate_run
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project

# The job uses everything random or stateful: initialisation, order, masks, running statistics, momentum, schedule.
OPTIONS = [
    *("data.num_train=60", "data.num_test=20", "batch_size=10", "trainer.max_epochs=4", "log_every_n_steps=1"),
    *("model=mlp", "model.width=12", "model.dropout=0.3", "model.norm=batch", "optimizer=momentum", "optimizer.lr=0.1"),
    *("scheduler=onecycle", "tracking=none"),
]


def train_elsewhere(job: Job, place: Path) -> RunFolder:
    """Train in another process and project, where PYTHONHASHSEED gives Python's sets another order."""
    shutil.copytree("conf", place / "conf")
    shutil.copy("requirements.lock", place)
    job.write(place / "job.json")
    command = [sys.executable, "-m", "piecewise.worker", "job.json"]
    settings = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONHASHSEED": "1"}
    done = subprocess.run(
        command, cwd=place, env=os.environ | settings, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (run,) = (place / "runs").iterdir()
    return RunFolder.at(run)


def outcome(folder: RunFolder) -> dict[str, Any]:
    record = read_journal(folder.journal)
    assert record is not None
    files = {path.name: path.read_bytes() for path in (folder.weights, folder.parameter_path)}
    return {"history": record.history(), "test": evaluate_run(folder), **files, **read_result(folder)}


def test_the_same_job_in_another_process_and_folder_gives_the_same_bits(
    plan: Callable[..., list[Job]], project: Project, tmp_path: Path
) -> None:
    (job,) = plan(*OPTIONS)
    here = RunFolder.at(project / "runs" / "one")
    torch.manual_seed(99)  # the process's random state must not matter
    train(job, here)
    found = outcome(here)
    assert found == outcome(train_elsewhere(job, tmp_path / "another project"))
    assert len(found["history"]["train/nll"]) == found["steps"] == 4 * 6
    assert {"val/nll", "val/squared_error"} <= set(found["history"])
    assert {"test/nll", "test/squared_error"} <= set(found["test"])
