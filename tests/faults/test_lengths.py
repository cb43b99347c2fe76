"""A training has the steps that were planned, whatever its limits are, and takes every example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from torch import Tensor

from piecewise.data.resident import TrainLoader
from piecewise.errors import BadInput
from piecewise.jobs import build
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import make_trainer
from piecewise.planning import check
from piecewise.training.datamodule import ResidentData
from piecewise.training.fit import FitOptions, Outcome, fit
from piecewise.training.module import TrainingModule
from small_project import TINY
from trials import Trials

Plan = Callable[..., list[Job]]
CHUNK = 3  # examples of a validation batch


def drawn(job: Job, rng: Random) -> Job:
    """The job with other numbers of examples, batches and steps."""
    shares = [None, 1.0, rng.randint(1, 100) / 100, rng.randint(1, 8), rng.random()]
    trainer = job.frozen["trainer"] | {
        "max_epochs": rng.randint(1, 4),
        "max_steps": rng.choice([-1, -1, rng.randint(1, 30)]),
        "accumulate_grad_batches": rng.choice([1, 1, 2, 3, 7, 100]),
        "check_val_every_n_epoch": rng.randint(1, 5),
        "limit_train_batches": rng.choice(shares),
        "limit_val_batches": rng.choice(shares),
        "overfit_batches": rng.choice([0, 0, 0.0, rng.choice(shares[1:])]),
    }
    data = job.frozen["data"] | {"num_train": rng.randint(4, 60), "val_fraction": rng.choice([0.3, 0.5])}
    size = rng.choice(["all", *range(1, 12)])
    return replace(job, frozen=job.frozen | {"trainer": trainer, "data": data, "batch_size": size})


def count_limited(count: int, limit: float | None) -> int:
    """How many of `count` batches a limit leaves."""
    if limit is None or isinstance(limit, int):
        return min(count, limit or count)
    return sum(place <= count * limit + 1e-9 for place in range(1, count + 1))  # 0.29 of 100 is 29


def simulated(num: int, size: int, options: dict[str, Any]) -> tuple[int, list[int], list[int]]:
    """Steps, the number of batches of each epoch, and the steps of validations; by counting, not by formula."""
    count = len(range(0, num, size))
    count = count_limited(count, options["overfit_batches"] or None)
    count = count_limited(count, options["limit_train_batches"])
    steps, epochs, validated = 0, [], []
    for epoch in range(1, options["max_epochs"] + 1):
        if steps == options["max_steps"]:
            break
        epochs.append(0)
        for number in range(1, count + 1):
            epochs[-1] += 1
            steps += number % options["accumulate_grad_batches"] == 0 or number == count
            if steps == options["max_steps"]:
                break
        is_last = epoch == options["max_epochs"] or steps == options["max_steps"]
        if is_last or epoch % options["check_val_every_n_epoch"] == 0:
            validated.append(steps)
    return steps, epochs, validated


class Watched:
    """What one training did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[tuple[int, list[int]]] = []  # epoch and examples of each batch
        self.validated: list[tuple[int, int]] = []  # steps before each validation, and its number of examples
        batch, validate = TrainLoader._batch, TrainingModule.on_validation_epoch_end

        def noted_batch(loader: TrainLoader, index: Tensor, number: int) -> Any:
            self.rows.append((loader.epoch, index.tolist()))
            return batch(loader, index, number)

        def noted_validation(module: TrainingModule) -> None:
            assert module.val_values is not None
            self.validated.append((module.trainer.global_step, int(module.val_values[:, 2].sum())))
            validate(module)

        monkeypatch.setattr(TrainLoader, "_batch", noted_batch)
        monkeypatch.setattr(TrainingModule, "on_validation_epoch_end", noted_validation)


def trained(job: Job, parts: build.Parts, place: Path) -> Outcome:
    config = job.config
    module = TrainingModule(parts.model, parts.loss, build.make_optimizer(config), build.make_schedule(config))
    data = ResidentData(*parts.examples, parts.length, config.seed)
    return fit(module, data, make_trainer(config.trainer), None, FitOptions(place, "last"))


def test_trainings_take_the_planned_steps_and_every_example(
    plan: Plan, tmp_path: Path, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny,) = plan(*TINY, "model=linear", "scheduler=onecycle")
    monkeypatch.setattr("piecewise.training.length.CHUNK_SIZE", CHUNK)
    for number, rng in enumerate(trials("trainings of generated lengths with the planned steps and examples", 400)):
        job = drawn(tiny, rng)
        parts, options = build.build_parts(job.config), job.frozen["trainer"]
        size = parts.num_train if job.config.batch_size == "all" else job.config.batch_size
        assert isinstance(size, int)
        steps, epochs, validated = simulated(parts.num_train, size, options)
        num_val = len(parts.examples[1])
        num_val = min(num_val, CHUNK * count_limited(len(range(0, num_val, CHUNK)), options["limit_val_batches"]))
        if size > parts.num_train or 0 in epochs or not num_val:
            with pytest.raises(BadInput, match=r"batch_size|leaves nothing of"):
                check.check(job.config)
            continue
        check.check(job.config)
        with monkeypatch.context() as patched:
            watched = Watched(patched)
            outcome = trained(job, parts, tmp_path / str(number))
        assert outcome.steps == outcome.steps_planned == parts.length.steps == steps
        assert len(watched.rows) == parts.length.batches == sum(epochs)
        assert watched.validated == [(step, num_val) for step in validated]
        assert Counter(epoch for epoch, _ in watched.rows) == dict(enumerate(epochs))
        for epoch, taken in enumerate(epochs):
            rows = [row for at, rows in watched.rows if at == epoch for row in rows]
            assert len(set(rows)) == len(rows) == min(taken * size, parts.length.num_train)
            assert max(rows) < parts.length.num_train
