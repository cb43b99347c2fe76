"""Checkpoints of whole trainings: resuming from any of them gives the same result."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.models.mlp import Mlp
from piecewise.project import Project
from piecewise.training import checkpoint_files, checkpoints, recorder
from piecewise.training.checkpoints import KeepCheckpoints, load_checkpoint
from steps_taken import note_steps

Plan = Callable[..., list[Job]]
# Options that use every saved state: data order, dropout masks, schedule, momentum, early stopping, parameter path.
OPTIONS = [
    *("data.num_train=60", "data.num_test=20", "batch_size=10", "trainer.max_epochs=30", "log_every_n_steps=4"),
    *("model=mlp", "model.width=12", "model.dropout=0.3", "model.norm=batch", "optimizer=momentum", "optimizer.lr=0.2"),
    *("scheduler=onecycle", "early_stopping.patience=2", "trainer.check_val_every_n_epoch=2", "tracking=none"),
]


def save_every_step(monkeypatch: pytest.MonkeyPatch, copies: Path) -> None:
    """Save a checkpoint at every opportunity, and copy each to `copies`."""
    copies.mkdir()
    original = checkpoint_files.write

    def write(path: Path, data: bytes) -> None:
        original(path, data)
        for file in (path, path.with_suffix(".json")):
            shutil.copy(file, copies)

    monkeypatch.setattr(checkpoints, "INTERVAL_SECONDS", 0)
    monkeypatch.setattr(checkpoints, "INTERVAL_FACTOR", 0)
    monkeypatch.setattr(checkpoint_files, "write", write)


def cut_journal(path: Path, step: int) -> None:
    """Remove the metrics after `step` and the end: the resumed training must measure them again."""
    lines = path.read_bytes().splitlines(keepends=True)
    steps = [json.loads(line.partition(b" ")[2]).get("step", 0) for line in lines]
    kept = [line for line, at in zip(lines, steps, strict=True) if at <= step and b'"kind":"end"' not in line]
    path.write_bytes(b"".join(kept))


def outcome_of(folder: RunFolder) -> dict[str, Any]:
    record = read_journal(folder.journal)
    assert record is not None
    result = {key: value for key, value in read_result(folder).items() if key != "id"}
    return {"history": record.history(), "path": folder.parameter_path.read_bytes(), **result}


@pytest.mark.parametrize(
    ("accumulated", "every", "precision"),
    [(1, 1, "32-true"), (2, 2, "64-true"), (3, 2, "bf16-mixed"), (2, 1, "16-true")],
)
def test_resuming_from_any_checkpoint_gives_the_same_result(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch, accumulated: int, every: int, precision: str
) -> None:
    monkeypatch.setattr(recorder, "MAX_APART", 3)  # readings are every four steps
    options = [f"trainer.accumulate_grad_batches={accumulated}", f"trainer.check_val_every_n_epoch={every}"]
    (job,) = plan(*OPTIONS, *options, f"trainer.precision={precision}")
    undisturbed, copies = RunFolder.at(project / "undisturbed"), project / "copies"
    with monkeypatch.context() as patched:
        save_every_step(patched, copies)
        train(job, undisturbed)
    expected = outcome_of(undisturbed)
    assert expected["steps"] < expected["steps_planned"]  # stopped early
    assert expected["numerics"]["precision"] == precision
    steps = [int(path.stem) for path in sorted(copies.glob("*.ckpt"))]
    assert steps == list(range(1, expected["steps"] + 1))
    for step in [*steps[:3], steps[len(steps) // 2], *steps[-2:]]:
        folder = RunFolder.at(project / "runs" / f"{step}")
        shutil.copytree(undisturbed.journal.parent, folder.journal.parent)
        shutil.rmtree(folder.checkpoints)
        folder.checkpoints.mkdir()
        for ending in ("ckpt", "json"):
            shutil.copy(copies / f"{step:09d}.{ending}", folder.checkpoints)
        for path in (folder.result, folder.weights, folder.parameter_path):
            path.unlink()
        cut_journal(folder.journal, step)
        with monkeypatch.context() as patched:
            taken = note_steps(patched)
            train(job, folder, is_resumed=True)
        assert outcome_of(folder) == expected, f"from step {step}"
        assert sorted(set(taken)) == list(range(step, expected["steps"]))  # resumed, not restarted


def test_a_models_own_random_numbers_are_the_same_after_resuming(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a user's model that draws from PyTorch's global generator, as torchvision's models do."""
    original = Mlp.forward
    monkeypatch.setattr(Mlp, "forward", lambda model, x: original(model, x + 0.1 * torch.randn_like(x)))
    (job,) = plan(*OPTIONS, "early_stopping.patience=null", "trainer.max_epochs=2")
    undisturbed, copies = RunFolder.at(project / "undisturbed"), project / "copies"
    with monkeypatch.context() as patched:
        save_every_step(patched, copies)
        train(job, undisturbed)
    folder = RunFolder.at(project / "runs" / "one")
    folder.checkpoints.mkdir(parents=True)
    for path in copies.glob("000000004.*"):
        shutil.copy(path, folder.checkpoints)
    torch.manual_seed(99)
    train(job, folder, is_resumed=True)
    assert read_result(folder)["weights_digest"] == read_result(undisturbed)["weights_digest"]


def test_without_a_whole_checkpoint_training_restarts_with_a_warning(
    plan: Plan, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (job,) = plan(*OPTIONS)
    folder = RunFolder.at(project / "runs" / "one")
    train(job, folder)
    expected = outcome_of(folder)
    for path in folder.checkpoints.glob("*.ckpt"):
        path.write_bytes(path.read_bytes()[:-1])
    folder.result.unlink()
    train(job, folder, is_resumed=True)
    assert outcome_of(folder) == expected
    assert "has no whole checkpoint: the training begins again" in capsys.readouterr().err


LOAD = """
import sys
sys.modules["piecewise"] = sys.modules["pytorch_lightning"] = None
import torch
print(torch.load(sys.argv[1], weights_only=True)["global_step"])
"""


def test_a_checkpoint_loads_with_torch_alone(plan: Plan, project: Project) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    train(plan(*OPTIONS)[0], folder)
    path = checkpoint_files.newest(folder.checkpoints)
    assert path is not None
    done = subprocess.run([sys.executable, "-c", LOAD, path], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == f"{read_result(folder)['steps']}\n", done.stderr
    assert load_checkpoint(path)["global_step"] == read_result(folder)["steps"]


def test_checkpoints_are_saved_less_often_on_a_slow_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = [100.0]
    saved = []

    class Stub:
        """The parts of a Trainer that are used."""

        world_size, is_global_zero, global_step = 1, True, 0

        def save_checkpoint(self, path: Path) -> None:
            saved.append(clock[0])
            clock[0] += 2.0  # seconds to save

    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock[0])
    keep, trainer = KeepCheckpoints(tmp_path), Stub()
    for _ in range(100):
        keep._save_if_asked(trainer)  # type: ignore[arg-type]
        clock[0] += 1
    assert saved == [105, 147, 189]  # after 5 seconds, then after 20 times the duration of a save


def test_equal_scores_keep_the_earlier_weights(tmp_path: Path) -> None:
    class Module(checkpoints.TrainingModule):
        def __init__(self) -> None:
            pl.LightningModule.__init__(self)
            self.model = torch.nn.Linear(1, 1)

    class Stub:
        world_size, is_global_zero, global_step = 1, True, 0

    keep, module, trainer = KeepCheckpoints(tmp_path), Module(), Stub()
    for step, nll in enumerate([2.0, 1.0, 1.0, 3.0]):
        trainer.global_step = step
        torch.nn.init.constant_(module.model.weight, step)
        module.val_metrics = {"val/nll": nll}
        keep.on_validation_end(trainer, module)  # type: ignore[arg-type]
    assert (keep.best_step, keep.best_nll) == (1, 1.0)
    assert keep.best_weights is not None
    assert keep.best_weights["weight"].item() == 1.0
