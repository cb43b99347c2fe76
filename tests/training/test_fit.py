"""Training through Lightning, compared with a loop written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from piecewise.data.randomness import epoch_order
from piecewise.data.resident import TrainLoader
from piecewise.errors import NonFiniteLoss
from piecewise.jobs import build
from piecewise.jobs.config import JobConfig
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import make_trainer
from piecewise.journal.reader import read_journal
from piecewise.journal.writer import Journal
from piecewise.training import checkpoint_files, checkpoints, progress
from piecewise.training.checkpoints import load_checkpoint
from piecewise.training.datamodule import ResidentData
from piecewise.training.fit import FitOptions, Outcome, fit
from piecewise.training.module import TrainingModule

Plan = Callable[..., list[Job]]
SMALL = ["data.num_train=50", "data.num_test=20", "batch_size=10", "trainer.max_epochs=4", "tracking=none"]


def train(job: Job, folder: Path, **options: Any) -> Outcome:
    config = job.config
    parts = build.build_parts(config)
    train_set, val_set = parts.examples
    data = ResidentData(train_set, val_set, parts.length, config.seed)
    module = TrainingModule(parts.model, parts.loss, build.make_optimizer(config), build.make_schedule(config))
    with Journal(folder / "journal.jsonl") as journal:
        journal.start(id="x", name="x")
        chosen = {"select": "last", "log_every_n_steps": 1} | options
        return fit(module, data, make_trainer(config.trainer), journal, FitOptions(folder, **chosen))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The rows of each batch, in the order in which training takes them."""
    rows_seen: list[Tensor] = []
    original = TrainLoader._batch

    def batch(self: TrainLoader, rows: Tensor, *rest: Any) -> Any:
        rows_seen.append(rows.cpu())
        return original(self, rows, *rest)

    monkeypatch.setattr(TrainLoader, "_batch", batch)
    return rows_seen


def by_hand(config: JobConfig, epochs: int) -> dict[str, Tensor]:
    """The same training without Lightning, loader, module or loss class."""
    parts = build.build_parts(config)
    data, _ = parts.examples
    optimizer = torch.optim.SGD(parts.model.parameters(), lr=config.optimizer.options["lr"], fused=True)
    for epoch in range(epochs):
        for rows in epoch_order(len(data), config.seed, epoch).split(config.batch_size):
            loss = (0.5 * (parts.model(data.x[rows]) - data.y[rows]) ** 2 + 0.9189385332046727).sum() / len(rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return parts.model.state_dict()


def test_training_equals_a_loop_by_hand(plan: Plan, tmp_path: Path) -> None:
    (job,) = plan(*SMALL, "optimizer=sgd", "seed=3")
    outcome = train(job, tmp_path)
    for name, expected in by_hand(job.config, epochs=4).items():
        torch.testing.assert_close(outcome.weights[name], expected, rtol=1e-6, atol=1e-6)


def test_every_epoch_takes_all_batches_and_each_example_once(plan: Plan, tmp_path: Path, seen: list[Tensor]) -> None:
    (job,) = plan(*SMALL, "data.num_train=47")  # 42 to train on: the last batch of each epoch has two examples
    seen.clear()  # planning has batches of its own if this shape of job is new to the process
    outcome = train(job, tmp_path)
    assert outcome.steps == outcome.steps_planned == len(seen) == 4 * 5
    for epoch in range(4):
        order = torch.cat(seen[5 * epoch : 5 * epoch + 5])
        assert torch.equal(order, epoch_order(42, job.frozen["seed"], epoch))
        assert torch.equal(order.sort().values, torch.arange(42))


def test_each_limited_epoch_has_its_own_order(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    batch = TrainLoader._batch
    monkeypatch.setattr(TrainLoader, "_batch", lambda self, *to: seen.append((self.epoch, to[1])) or batch(self, *to))
    for limit in ("3", "0.6"):  # of 5 batches
        seen.clear()
        outcome = train(plan(*SMALL, f"trainer.limit_train_batches={limit}")[0], tmp_path / limit)
        assert outcome.steps == outcome.steps_planned == 4 * 3
        assert seen == [(epoch, number) for epoch in range(4) for number in range(3)]


def test_overfit_repeats_one_batch(plan: Plan, tmp_path: Path, seen: list[Tensor]) -> None:
    outcome = train(plan(*SMALL, "trainer=overfit", "trainer.max_epochs=5")[0], tmp_path)
    assert outcome.steps == len(seen) == 5
    assert all(torch.equal(rows.sort().values, torch.arange(10)) for rows in seen)


@pytest.mark.parametrize("steps", [3, 7])
def test_a_training_that_ends_within_an_epoch_can_select_its_last_step(plan: Plan, tmp_path: Path, steps: int) -> None:
    outcome = train(plan(*SMALL, f"+trainer.max_steps={steps}")[0], tmp_path, select="best")
    assert (outcome.selected, outcome.selected_step, outcome.steps) == ("best", steps, steps)
    assert outcome.val_nll is not None


def test_same_job_twice_gives_the_same_bits(plan: Plan, tmp_path: Path) -> None:
    (job,) = plan(*SMALL, "scheduler=onecycle")
    first, second = (train(job, tmp_path / name) for name in ("a", "b"))
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_journal_has_every_step_and_every_validation(plan: Plan, tmp_path: Path) -> None:
    train(plan(*SMALL)[0], tmp_path)
    record = read_journal(tmp_path / "journal.jsonl")
    assert record is not None
    history = record.history()
    assert [step for step, _ in history["train/nll"]] == list(range(1, 21))
    assert [step for step, _ in history["val/nll"]] == [5, 10, 15, 20]
    assert set(history) == {"train/nll", "val/nll", "val/squared_error"}
    # Norm[y; μ, 1]: the two validation metrics differ by the constant of the density and a factor.
    for (_, nll), (_, error) in zip(history["val/nll"], history["val/squared_error"], strict=True):
        assert nll == pytest.approx(0.5 * error + 0.9189385332046727, rel=1e-6)


def last_checkpoint(folder: Path) -> dict[str, Any]:
    newest = checkpoint_files.newest(folder)
    assert newest is not None
    return load_checkpoint(newest)


def test_the_last_checkpoint_also_holds_the_best_weights(plan: Plan, tmp_path: Path) -> None:
    outcome = train(plan(*SMALL, "optimizer.lr=0.5")[0], tmp_path, select="best")
    record = read_journal(tmp_path / "journal.jsonl")
    assert record is not None
    best = min(record.history()["val/nll"], key=lambda point: point[1])[0]
    checkpoint = last_checkpoint(tmp_path)
    kept = checkpoint["piecewise.checkpoints"]["best"]
    assert outcome.selected_step == kept["step"] == best < checkpoint["global_step"] == 20
    assert all(torch.equal(outcome.weights[name], value) for name, value in kept["weights"].items())


def test_early_stopping_ends_training_after_its_patience(plan: Plan, tmp_path: Path) -> None:
    (job,) = plan(*SMALL, "optimizer=sgd", "optimizer.lr=0", "trainer.max_epochs=30")
    outcome = train(job, tmp_path, early_stopping={"patience": 2})
    assert (outcome.epochs, outcome.steps, outcome.steps_planned) == (3, 15, 150)


def _with(make: Callable[..., pl.Trainer], watch: pl.Callback, callbacks: list[pl.Callback], **rest: Any) -> pl.Trainer:
    return make(callbacks=[*callbacks, watch], **rest)


def rates_of(plan: Plan, place: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> list[float]:
    """The learning rate of each step, starting from 0.1."""
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *rest: object) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    (job,) = plan(*SMALL, "optimizer=sgd", "optimizer.lr=0.1", *options)
    make = make_trainer(job.config.trainer)
    monkeypatch.setitem(globals(), "make_trainer", lambda config: partial(_with, make, Watch()))
    train(job, place)
    return rates


def test_one_cycle_is_as_long_as_the_training(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = rates_of(plan, tmp_path, monkeypatch, "scheduler=onecycle")
    assert (len(rates), rates.index(max(rates))) == (20, 5)  # 30 % of 20 steps up
    assert max(rates) == pytest.approx(0.1)
    assert rates[-1] < 1e-4


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        (["scheduler=warmup", "scheduler.total_iters=8"], lambda step: min(1, 0.01 + 0.99 * step / 8)),
        (["scheduler=cosine"], lambda step: (1 + math.cos(math.pi * step / 20)) / 2),
        (["scheduler=step", "scheduler.step_size=2"], lambda step: 0.5 ** (step // 5 // 2)),
    ],
)
def test_a_schedule_follows_its_formula(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], factor: Callable[[int], float]
) -> None:
    rates = rates_of(plan, tmp_path, monkeypatch, *options)
    assert rates == pytest.approx([0.1 * factor(step) for step in range(20)])


def test_a_non_finite_loss_stops_training_and_is_named(plan: Plan, tmp_path: Path) -> None:
    """Training stops in that step, before the weights change."""
    (job,) = plan(*SMALL, "optimizer=sgd", "optimizer.lr=1e30")
    message = r"the loss is (nan|inf) at step 2 \(epoch 0, batch 1\); first that is not finite: the (output|loss)"
    with pytest.raises(NonFiniteLoss, match=message):
        train(job, tmp_path)


def test_a_first_loss_that_is_not_finite_is_not_blamed_on_lr(plan: Plan, tmp_path: Path) -> None:
    (job,) = plan(*SMALL, "loss.sigma=1e-30")
    with pytest.raises(NonFiniteLoss, match=r"at step 1 .*No step was taken yet: smaller inputs or targets may help$"):
        train(job, tmp_path)


def test_last_finite_checkpoint_is_kept(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = TrainLoader._batch

    def spoiled(self: TrainLoader, index: Tensor, number: int) -> Any:
        batch = original(self, index, number)
        batch.x = batch.x * (torch.nan if (self.epoch, number) == (2, 1) else 1)
        return batch

    monkeypatch.setattr(TrainLoader, "_batch", spoiled)
    monkeypatch.setattr(checkpoints, "INTERVAL_SECONDS", 0)
    monkeypatch.setattr(checkpoints, "INTERVAL_FACTOR", 0)
    message = r"step 12 \(epoch 2, batch 1\); first that is not finite: the inputs of the batch"
    with pytest.raises(NonFiniteLoss, match=message):
        train(plan(*SMALL)[0], tmp_path)
    checkpoint = last_checkpoint(tmp_path)
    assert checkpoint["global_step"] == 11
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


def test_double_precision_trains_in_double_precision(plan: Plan, tmp_path: Path) -> None:
    outcome = train(plan(*SMALL, "trainer.precision=64-true")[0], tmp_path)
    assert {value.dtype for value in outcome.weights.values()} == {torch.float64}
    assert outcome.numerics["precision"] == "64-true"


def test_progress_shows_epoch_loss_and_validation(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.tqdm, "monitor_interval", 0)  # no monitor thread
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0)
    train(plan(*SMALL)[0], tmp_path, progress="a label")
    printed = capsys.readouterr().err
    assert "a label" in printed
    assert all(f"{name}=" in printed for name in ("epoch", "loss", "val/nll"))
