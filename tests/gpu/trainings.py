"""Trainings for the checks: on one device or another, in this process, in a new one, or in several ranks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from piecewise.execution.ranks import REQUEST, Request
from piecewise.execution.train import train
from piecewise.jobs.job import Job, read_job
from piecewise.journal.names import new_id
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result

BACKEND = "GPU_CHECK_BACKEND"  # environment variable: the process group's backend that a rank must use
RANK_SECONDS = 180  # for all ranks of a job together


def with_trainer(job: Job, **options: Any) -> Job:
    """The same job with other options of the trainer."""
    return replace(job, frozen=job.frozen | {"trainer": job.frozen["trainer"] | options})


def trained(job: Job, folder: Path) -> RunFolder:
    """Train in this process."""
    run = RunFolder.at(folder)
    train(job, run)
    return run


def flat_weights(run: RunFolder) -> Tensor:
    """All weights and buffers as one float64 vector."""
    return torch.cat([value.flatten().double() for _, value in sorted(load_file(run.weights).items())])


def distance(one: Tensor, other: Tensor) -> float:
    """‖one − other‖ / ‖other‖."""
    return float((one - other).norm() / other.norm())


def history(run: RunFolder, metric: str) -> list[tuple[int, float]]:
    record = read_journal(run.journal)
    assert record is not None
    return record.history()[metric]


def digest(run: RunFolder) -> str:
    return str(read_result(run)["weights_digest"])


def train_ranks(job: Job, folder: Path, backend: str, count: int) -> RunFolder:
    """Train in `count` processes. Lightning takes each for a machine of its own, so that all may use the same GPU."""
    run = RunFolder.at(folder)
    path = folder / "job.json"
    with_trainer(job, strategy="ddp", devices=1, num_nodes=count).write(path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    request = Request(run, {"id": new_id()}, None, False).as_text()
    common = {REQUEST: request, BACKEND: backend, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "gpu.trainings", str(path)]
    ranks = [
        subprocess.Popen(
            command, env={**os.environ, **common, "NODE_RANK": str(rank)}, stderr=subprocess.PIPE, text=True
        )
        for rank in range(count)
    ]
    try:
        errors = [rank.communicate(timeout=RANK_SECONDS)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    for rank, error in zip(ranks, errors, strict=True):
        if rank.returncode:
            raise RuntimeError(error.strip().splitlines()[-1] if error.strip() else f"exit code {rank.returncode}")
    assert json.loads((folder / "backend.json").read_text()) == [backend, count]
    return run


def _rank(path: Path) -> None:
    """One rank of a job, which notes the backend and the number of ranks that it had."""
    from piecewise.execution.train import train_as_rank
    from piecewise.training.strategy import DDPWithTimeouts

    set_up = DDPWithTimeouts.setup_distributed

    def setup_distributed(self: DDPWithTimeouts) -> None:
        self._process_group_backend = os.environ[BACKEND]
        set_up(self)
        if torch.distributed.get_rank() == 0:
            used = [torch.distributed.get_backend(), torch.distributed.get_world_size()]
            (path.parent / "backend.json").write_text(json.dumps(used))

    DDPWithTimeouts.setup_distributed = setup_distributed  # type: ignore[method-assign]
    train_as_rank(read_job(path))


if __name__ == "__main__":
    _rank(Path(sys.argv[1]))
