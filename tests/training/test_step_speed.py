"""The implementation of an optimizer and the number of threads follow from the job and its device."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer, RMSprop

from piecewise.execution.train import train
from piecewise.jobs import build
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.models.cnn import Cnn
from piecewise.models.mlp import Mlp
from piecewise.training import fit
from piecewise.training.module import TrainingModule
from piecewise.training.step_speed import implementation, implementation_of, num_operations
from small_project import TINY

Plan = Callable[..., list[Job]]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def numerics(job: Job, folder: Path) -> dict[str, Any]:
    train(job, RunFolder.at(folder))
    found: dict[str, Any] = read_result(RunFolder.at(folder))["numerics"]
    return found


@pytest.mark.parametrize(
    ("model", "input_shape", "products"),
    [
        (lambda: Mlp(5, 2, width=[7]), (5,), 5 * 7 + 7 * 2),
        (lambda: Mlp(5, 2, width=[7, 3], norm="batch"), (5,), 5 * 7 + 7 * 3 + 3 * 2),
        (lambda: nn.Conv2d(3, 4, kernel_size=3, padding=1), (3, 8, 6), 3 * 4 * 9 * 8 * 6),
        (lambda: nn.Conv2d(4, 4, kernel_size=2, stride=2, groups=4), (4, 8, 6), 4 * 4 * 4 * 3),
        (lambda: nn.Sequential(nn.Linear(5, 1), nn.Tanh()), (5,), 5),
    ],
)
def test_a_product_and_its_sum_are_two_operations(
    model: Callable[[], nn.Module], input_shape: tuple[int, ...], products: int
) -> None:
    assert num_operations(model(), input_shape, 30) == 2 * products * 30


def test_counting_changes_nothing_in_the_model() -> None:
    model = Cnn((1, 8, 8), 3, width=[4]).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    num_operations(model, (1, 8, 8), 10)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("kind", "arguments", "may_be_fused", "chosen"),
    [
        (SGD, {"lr": 0.1}, True, {"fused": True}),
        (Adam, {"fused": None}, True, {"fused": True}),
        (AdamW, {}, True, {"fused": True}),
        (AdamW, {}, False, {"foreach": False}),
        (RMSprop, {}, True, {"foreach": False}),
        (LBFGS, {}, True, {}),
        (Adam, {"fused": False}, True, {}),
        (Adam, {"fused": True}, False, {}),
        (Adam, {"foreach": True}, True, {}),
        (SGD, {"differentiable": True}, True, {}),
    ],
)
def test_an_implementation_is_chosen_unless_the_configuration_does(
    kind: type[Optimizer], arguments: dict[str, Any], may_be_fused: bool, chosen: dict[str, bool]
) -> None:
    weights = [nn.Parameter(torch.zeros(2))]
    assert implementation(kind, arguments, weights, may_be_fused) == chosen
    kind(weights, **arguments | chosen)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["gd", "sgd", "momentum", "nesterov", "adam", "adamw"])
def test_shipped_optimizers_are_fused(plan: Plan, name: str) -> None:
    (job,) = plan(*TINY, f"optimizer={name}")
    assert implementation_of(build.make_optimizer(job.config)([nn.Parameter(torch.zeros(1))])) == "fused"


@pytest.mark.parametrize(
    ("options", "used"),
    [
        (["trainer.gradient_clip_val=0.01"], "fused"),
        (["trainer.gradient_clip_val=0.01", "trainer.precision=bf16-mixed"], "plain"),
        (["trainer.gradient_clip_val=0.01", "trainer.precision=bf16-true"], "fused"),
        (["trainer.precision=bf16-mixed"], "fused"),
        (["+optimizer.foreach=true"], "foreach"),
        (["+optimizer.fused=false"], "plain"),
    ],
)
def test_gradients_are_clipped_in_every_precision(
    plan: Plan, project: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], used: str
) -> None:
    norms: list[float] = []

    def note(self: TrainingModule, *_: object) -> None:  # after a step, the gradients are those it used
        norms.append(float(torch.stack([weight.grad.norm() for weight in self.parameters()]).norm()))  # type: ignore

    (job,) = plan(*TINY, "optimizer=adam", *options)
    monkeypatch.setattr(TrainingModule, "on_train_batch_end", note)
    assert numerics(job, project / "run")["optimizer"] == used  # type: ignore[operator]
    is_clipped = "trainer.gradient_clip_val=0.01" in options
    assert all(norm < 0.0101 for norm in norms) is is_clipped
    assert len(norms) == 8


@pytest.mark.parametrize(("limit", "threads"), [(2 * 6 * 9 + 1, 1), (2 * 6 * 9, 2)])
@pytest.mark.usefixtures("two_threads")
def test_a_small_step_has_one_thread(
    plan: Plan, project: Path, monkeypatch: pytest.MonkeyPatch, limit: float, threads: int
) -> None:
    seen: set[int] = set()
    monkeypatch.setattr(fit, "SMALL_STEP", limit)  # a network 1-3-1 has six products for each of nine examples
    (job,) = plan(*TINY, "batch_size=9", "+trainer.max_steps=2")
    monkeypatch.setattr(TrainingModule, "on_train_batch_end", lambda *_: seen.add(torch.get_num_threads()))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert numerics(job, project / "run")["threads"] == threads  # type: ignore[operator]
    assert seen == {threads}
    assert torch.get_num_threads() == 2
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_training_never_has_more_threads_than_its_process(
    tiny_job: Job, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(fit, "SMALL_STEP", 0)
    assert numerics(tiny_job, project / "run")["threads"] == 1  # type: ignore[operator]
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
