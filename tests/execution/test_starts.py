"""Every way in which several ranks start: from the command, in a sweep, under torchrun on two nodes."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project

pytestmark = pytest.mark.slow
Plan = Callable[..., list[Job]]
OPTIONS = ["trainer.max_epochs=3", "data.num_train=60", "data.num_test=20", "batch_size=18", "log_every_n_steps=1"]
FOREIGN = re.compile(r"\| +(mlflow|hydra\._internal\.core_plugins|piecewise\.planning)\b")


def test_ranks_import_no_planning_and_no_tracking(plan: Plan, project: Project) -> None:
    """`-X importtime` lists the imports of every process. Lightning imports Hydra, but nothing initialises it."""
    plan("trainer=ddp_cpu", *OPTIONS)[0].write(project / "job.json")
    command = [sys.executable, "-X", "importtime", "-m", "piecewise.worker", "job.json"]
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment)
    imported = done.stderr.splitlines()
    assert sum(line.endswith(" pytorch_lightning") for line in imported) == 2
    assert [line for line in imported if FOREIGN.search(line)] == []


def test_a_sweep_on_two_ranks_is_one_run_for_each_job(project: Project) -> None:
    command = [sys.executable, "-m", "piecewise", "train", "-m", "trainer=ddp_cpu", *OPTIONS, "seed=0,1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    places = sorted((project / "runs").glob("*/*/journal.jsonl"))
    assert [read_result(RunFolder.at(path.parent))["numerics"]["world_size"] for path in places] == [2, 2]
    assert len(list((project / "runs").rglob("journal.jsonl"))) == 3
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)] * 3
        points = store.execute("SELECT count(*) FROM metrics WHERE key = 'train/nll'").fetchone()
    assert points == (2 * 9,)


def torchrun(project: Project, port: int, *arguments: str) -> list[subprocess.Popen[str]]:
    """Start two nodes of one rank each on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    command += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [*command, f"--node-rank={node}", "-m", "piecewise.worker", *arguments],
            cwd=project,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in range(2)
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_two_nodes_under_torchrun_are_one_run_that_resumes(plan: Plan, project: Project) -> None:
    nodes = ["trainer.devices=1", "+trainer.num_nodes=2", "trainer.max_epochs=400", "tracking=none"]
    (job,) = plan("trainer=ddp_cpu", *OPTIONS, *nodes)
    job.write(project / "job.json")
    processes = torchrun(project, free_port(), "job.json")
    deadline = time.monotonic() + 120
    while not any(b'"val/nll"' in path.read_bytes() for path in project.root.glob("runs/*/journal.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes[0].send_signal(signal.SIGTERM)
    for process in processes:
        process.communicate(timeout=60)
    (path,) = project.root.glob("runs/*/journal.jsonl")
    folder = RunFolder.at(path.parent)
    record = read_journal(path)
    assert record is not None
    assert record.end is not None
    assert record.end.status == "KILLED"

    for process in torchrun(project, free_port(), "job.json", "--resume", str(path.parent.relative_to(project))):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    result = read_result(folder)
    assert (result["steps"], result["numerics"]["world_size"]) == (400 * 3, 2)
    assert len(list(project.root.glob("runs/*"))) == 1
    alone = RunFolder.at(project / "alone")
    train(plan("trainer=ddp_cpu", *OPTIONS, "trainer.max_epochs=400", "tracking=none")[0], alone)
    assert read_result(alone)["weights_digest"] == result["weights_digest"]


def test_a_folder_without_a_run_is_not_resumed(plan: Plan, project: Project) -> None:
    plan(*OPTIONS)[0].write(project / "job.json")
    command = [sys.executable, "-m", "piecewise.worker", "job.json", "--resume", "runs/none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "--resume runs/none: no run is there" in done.stderr
