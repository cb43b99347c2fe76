"""SIGTERM and SIGINT to a training process, as a terminal, a scheduler or `dvc` sends them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from piecewise.journal.reader import RunRecord, read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from piecewise.training import checkpoint_files
from piecewise.training.checkpoints import load_checkpoint
from started import started
from time_limits import assert_within
from trials import Trials

LONG = ["trainer.max_epochs=100000", "log_every_n_steps=1", "tracking=none", "batch_size=50"]
LIGHTNING = """
import pytorch_lightning as pl, torch
class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
    def training_step(self, batch, batch_idx):
        print("step", flush=True)
        return self.layer(batch).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)
pl.Trainer(max_epochs=-1, logger=False, enable_checkpointing=False, enable_progress_bar=False).fit(
    Module(), torch.utils.data.DataLoader(torch.zeros(64, 1)))
"""


def wait_for_steps(project: Project, count: int) -> RunFolder:
    """Wait until the journal has `count` training losses. Returns the run's folder."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for path in Path(project).glob("runs/*/journal.jsonl"):
            if path.read_bytes().count(b'"train/nll"') >= count:
                return RunFolder.at(path.parent)
        time.sleep(0.05)
    raise AssertionError("no training has begun")


def record_of(folder: RunFolder) -> RunRecord:
    record = read_journal(folder.journal)
    assert record is not None
    return record


def last_step(folder: RunFolder) -> int:
    """The step of the newest checkpoint, which must load."""
    newest = checkpoint_files.newest(folder.checkpoints)
    assert newest is not None
    return int(load_checkpoint(newest)["global_step"])


@pytest.mark.slow
def test_lightning_alone_ends_with_exit_code_0_after_sigterm() -> None:
    """This is why piecewise handles signals itself. Fails if Lightning changes it."""
    with started(sys.executable, "-W", "ignore", "-c", LIGHTNING) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "step\n":
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_training_with_a_checkpoint_of_the_last_step(project: Project, number: int, code: int) -> None:
    with started(sys.executable, "-m", "piecewise", "train", *LONG) as process:
        folder = wait_for_steps(project, 20)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == code, stderr
    assert stderr.splitlines()[-1] == f"error: stopped by {signal.Signals(number).name}"
    assert "Traceback" not in stderr
    record = record_of(folder)
    assert record.end is not None
    assert record.end.status == "KILLED"
    steps = [step for step, _ in record.history()["train/nll"]]
    assert last_step(folder) == steps[-1]
    assert not folder.result.is_file()


@pytest.mark.slow
def test_sigterm_at_any_moment(project: Project, trials: Trials) -> None:
    """The exit code is 143 within ten seconds; a run that had begun is KILLED, and its checkpoint loads."""
    for number, rng in enumerate(trials("SIGTERM at a random moment: 143, KILLED, checkpoint", 100)):
        place = project / f"trial-{number}"
        place.mkdir()
        (place / "conf").symlink_to(project / "conf")
        command = [sys.executable, "-m", "piecewise", "train", *LONG]
        process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        folder = wait_for_steps(place, rng.randrange(1, 40)) if rng.random() < 0.8 else None
        time.sleep(rng.random() * (0.5 if folder else 3))
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=100)
        assert_within(10, time.monotonic() - asked)
        assert process.returncode in (143, -signal.SIGTERM), stderr  # the latter if Python had not started yet
        for path in place.glob("runs/*/journal.jsonl"):
            record = record_of(RunFolder.at(path.parent))
            assert record.end is not None
            assert record.end.status == "KILLED"
            if folder is not None:
                step = last_step(folder)
                assert step == record.history()["train/nll"][-1][0]


@pytest.mark.slow
def test_sigterm_stops_all_ranks(project: Project) -> None:
    with started(sys.executable, "-m", "piecewise", "train", "trainer=ddp_cpu", *LONG) as process:
        folder = wait_for_steps(project, 5)
        worker = record_of(folder).start.raw["process"]["pid"]
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143, stderr
    record = record_of(folder)
    assert record.end is not None
    assert (record.end.status, record.end.reason) == ("KILLED", "Stopped: stopped by SIGTERM")
    assert last_step(folder) > 0
    assert not Path(f"/proc/{worker}").exists()
    members = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"piecewise.worker" in _read(path)]
    assert [path for path in members if str(project).encode() in _read(path.with_name("environ"))] == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


@pytest.mark.slow
def test_resume_completes_a_stopped_training(project: Project) -> None:
    options = ["trainer.max_epochs=400", "log_every_n_steps=1", "tracking=none"]
    with started(sys.executable, "-m", "piecewise", "train", *options) as process:
        folder = wait_for_steps(project, 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    done = subprocess.run([sys.executable, "-m", "piecewise", "resume", "last"], check=False, timeout=300)
    assert done.returncode == 0
    result = read_result(folder)
    assert result["steps"] == result["steps_planned"] == 400 * 6
    assert [step for step, _ in record_of(folder).history()["train/nll"]] == list(range(1, 400 * 6 + 1))
    assert json.loads(folder.metrics.read_text())["test/nll"] > 0
