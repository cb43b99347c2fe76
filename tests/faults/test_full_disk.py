"""When the disk fills up while a training writes its journal, it stops with an error and can be resumed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from piecewise.training import checkpoint_files
from piecewise.training.checkpoints import load_checkpoint
from trials import Trials

OPTIONS = ["trainer.max_epochs=40", "log_every_n_steps=1", "tracking=none", "data.num_train=60", "batch_size=10"]


def train_with_room_for(num_bytes: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Limit the size of every file to `num_bytes`: an ordinary user's way to simulate a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))

    words = [sys.executable, "-m", "piecewise", *command]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=120, preexec_fn=limit, env=environment
    )


@pytest.mark.slow
def test_a_training_stopped_by_a_full_disk_can_be_resumed(project: Project, trials: Trials) -> None:
    for number, rng in enumerate(trials("journals on a full disk: stopped, told, whole, resumed", 20)):
        room = rng.randrange(12_000, 26_000)  # more than a checkpoint, less than the whole journal
        done = train_with_room_for(room, "train", *OPTIONS, f"seed={number}")
        assert done.returncode == 1, done.stderr
        assert done.stderr.count("cannot be written: File too large") == 1
        assert "Traceback" not in done.stderr
        (path,) = (project / "runs").glob("*/journal.jsonl")
        folder = RunFolder.at(path.parent)
        assert room - 200 < path.stat().st_size <= room
        newest = checkpoint_files.newest(folder.checkpoints)
        reached = load_checkpoint(newest)["global_step"] if newest is not None else 0
        resumed = subprocess.run([sys.executable, "-m", "piecewise", "resume", "last"], check=False, timeout=120)
        assert resumed.returncode == 0
        record = read_journal(path)
        assert record is not None
        assert [step for step, _ in record.history()["train/nll"]] == list(range(1, 40 * 6 + 1))
        assert read_result(folder)["steps"] == 40 * 6 >= reached
        path.parent.rename(project / f"done-{number}")
