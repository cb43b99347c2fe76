"""Checkpoints of whole trainings: from each of them the training goes on to the same end."""

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
from piecewise.training import checkpoint_files, checkpoints
from piecewise.training.checkpoints import KeepCheckpoints, load_checkpoint
from steps_taken import note_steps

Plan = Callable[..., list[Job]]
# Everything that has a state: order, masks, schedule, momentum, early stopping that ends it, and a path.
OPTIONS = [
    *("data.num_train=60", "data.num_test=20", "batch_size=10", "trainer.max_epochs=30", "log_every_n_steps=4"),
    *("model=mlp", "model.width=12", "model.dropout=0.3", "model.norm=batch", "optimizer=momentum", "optimizer.lr=0.2"),
    *("scheduler=onecycle", "early_stopping.patience=2", "trainer.check_val_every_n_epoch=2", "tracking=none"),
]


def every_step(monkeypatch: pytest.MonkeyPatch, copies: Path) -> None:
    """Save whenever it can be, and keep a copy of each."""
    copies.mkdir()
    whole = checkpoint_files.write

    def write(path: Path, data: bytes) -> None:
        whole(path, data)
        for file in (path, path.with_suffix(".json")):
            shutil.copy(file, copies)

    monkeypatch.setattr(checkpoints, "INTERVAL_SECONDS", 0)
    monkeypatch.setattr(checkpoints, "INTERVAL_FACTOR", 0)
    monkeypatch.setattr(checkpoint_files, "write", write)


def cut_journal(path: Path, step: int) -> None:
    """Leave what was measured up to a step: what comes after it must be measured again, not be there already."""
    lines = path.read_bytes().splitlines(keepends=True)
    steps = [json.loads(line.partition(b" ")[2]).get("step", 0) for line in lines]
    kept = [line for line, at in zip(lines, steps, strict=True) if at <= step and b'"kind":"end"' not in line]
    path.write_bytes(b"".join(kept))


def outcome_of(folder: RunFolder) -> dict[str, Any]:
    record = read_journal(folder.journal)
    assert record is not None
    result = {key: value for key, value in read_result(folder).items() if key != "id"}
    return {"history": record.history(), "path": folder.path.read_bytes(), **result}


@pytest.mark.parametrize(
    ("accumulated", "every", "precision"), [(1, 1, "32-true"), (2, 2, "64-true"), (3, 2, "bf16-mixed")]
)
def test_from_any_checkpoint_on_the_end_is_the_same(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch, accumulated: int, every: int, precision: str
) -> None:
    options = [f"trainer.accumulate_grad_batches={accumulated}", f"trainer.check_val_every_n_epoch={every}"]
    (job,) = plan(*OPTIONS, *options, f"trainer.precision={precision}")
    undisturbed, copies = RunFolder.at(project / "undisturbed"), project / "copies"
    with monkeypatch.context() as patched:
        every_step(patched, copies)
        train(job, undisturbed)
    expected = outcome_of(undisturbed)
    assert expected["steps"] < expected["steps_planned"]  # early stopping had its say
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
        for path in (folder.result, folder.weights, folder.path):
            path.unlink()
        cut_journal(folder.journal, step)
        with monkeypatch.context() as patched:
            taken = note_steps(patched)
            train(job, folder, is_resumed=True)
        assert outcome_of(folder) == expected, f"from step {step}"
        assert sorted(set(taken)) == list(range(step, expected["steps"]))  # none before: it has not begun again


def test_what_a_model_draws_itself_is_drawn_again(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of somebody's own that asks PyTorch for noise, as torchvision's do."""
    whole = Mlp.forward
    monkeypatch.setattr(Mlp, "forward", lambda model, x: whole(model, x + 0.1 * torch.randn_like(x)))
    (job,) = plan(*OPTIONS, "early_stopping.patience=null", "trainer.max_epochs=2")
    undisturbed, copies = RunFolder.at(project / "undisturbed"), project / "copies"
    with monkeypatch.context() as patched:
        every_step(patched, copies)
        train(job, undisturbed)
    folder = RunFolder.at(project / "runs" / "one")
    folder.checkpoints.mkdir(parents=True)
    for path in copies.glob("000000004.*"):
        shutil.copy(path, folder.checkpoints)
    torch.manual_seed(99)
    train(job, folder, is_resumed=True)
    assert read_result(folder)["weights_digest"] == read_result(undisturbed)["weights_digest"]


def test_without_any_checkpoint_left_it_begins_again_and_says_so(
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


LOADS = """
import sys
sys.modules["piecewise"] = sys.modules["pytorch_lightning"] = None
import torch
print(torch.load(sys.argv[1], weights_only=True)["global_step"])
"""


def test_a_checkpoint_loads_where_nothing_but_torch_is_installed(plan: Plan, project: Project) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    train(plan(*OPTIONS)[0], folder)
    path = checkpoint_files.newest(folder.checkpoints)
    assert path is not None
    done = subprocess.run([sys.executable, "-c", LOADS, path], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == f"{read_result(folder)['steps']}\n", done.stderr
    assert load_checkpoint(path)["global_step"] == read_result(folder)["steps"]


def test_the_clock_decides_and_a_slow_disk_is_spared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = [100.0]
    saved = []

    class Stub:
        """As much of a Trainer as is asked."""

        world_size, is_global_zero, global_step = 1, True, 0

        def save_checkpoint(self, path: Path) -> None:
            saved.append(clock[0])
            clock[0] += 2.0  # seconds that it takes

    class Silent:
        def write(self, trainer: pl.Trainer) -> None:
            assert trainer is not None

        def flush(self) -> None:
            pass

    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock[0])
    keep, trainer = KeepCheckpoints(tmp_path, Silent()), Stub()  # type: ignore[arg-type]
    for _ in range(100):
        keep._save_if_asked(trainer)  # type: ignore[arg-type]
        clock[0] += 1
    assert saved == [105, 147, 189]  # after 5 seconds, then 20 times as long as it takes


def test_equal_scores_keep_the_earlier_weights(tmp_path: Path) -> None:
    class Module(checkpoints.TrainingModule):
        def __init__(self) -> None:
            pl.LightningModule.__init__(self)
            self.model = torch.nn.Linear(1, 1)

    class Stub:
        world_size, is_global_zero, global_step = 1, True, 0

    keep, module, trainer = KeepCheckpoints(tmp_path, None), Module(), Stub()  # type: ignore[arg-type]
    for step, nll in enumerate([2.0, 1.0, 1.0, 3.0]):
        trainer.global_step = step
        torch.nn.init.constant_(module.model.weight, step)
        module.val_metrics = {"val/nll": nll}
        keep.on_validation_end(trainer, module)  # type: ignore[arg-type]
    assert (keep.best_step, keep.best_nll) == (1, 1.0)
    assert keep.best_weights is not None
    assert keep.best_weights["weight"].item() == 1.0
