"""The trial step refuses what Lightning or PyTorch would refuse at the first step, and leaves nothing behind."""

from __future__ import annotations

import copy
import logging
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from piecewise.errors import BadInput
from piecewise.execution import trial
from piecewise.execution.job_folders import JobFolders
from piecewise.execution.run_jobs import run_jobs
from piecewise.execution.train import train_as_rank
from piecewise.jobs.job import Job
from piecewise.project import Project
from small_project import TINY

Plan = Callable[..., list[Job]]
REFUSED = ["trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1.0", "+optimizer.fused=true"]


@pytest.fixture(autouse=True)
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No shape of job has been tried yet."""
    monkeypatch.setattr(trial, "_REFUSALS", {})


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The parts of each trial step."""
    seen: list[object] = []
    take = trial._take_step
    monkeypatch.setattr(trial, "_take_step", lambda parts: seen.append(parts) or take(parts))
    return seen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            REFUSED,
            r"^trainer\.precision='bf16-mixed', trainer\.gradient_clip_val=1\.0, optimizer\.fused=True: these options "
            r"do not fit together; RuntimeError: The current optimizer, Adam, does not allow for gradient clipping",
        ),
        (
            ["~optimizer", "+optimizer._target_=torch.optim.SparseAdam"],
            r"^optimizer\._target_='torch\.optim\.SparseAdam': cannot train; RuntimeError: SparseAdam does not support",
        ),
        (
            ["+scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau", "seed=3"],
            r"^scheduler\._target_='torch\.optim\.lr_scheduler\.ReduceLROnPlateau': cannot train; Misconfiguration",
        ),
        (["+optimizer.fused=true", "+optimizer.foreach=true"], r"optimizer\.fused=True.*cannot be `True` together"),
    ],
)
def test_what_cannot_take_a_step_is_refused_and_the_keys_that_matter_are_named(
    plan: Plan, project: Project, options: list[str], message: str
) -> None:
    before = sorted(project.root.rglob("*"))
    with pytest.raises(BadInput, match=message):
        plan(*TINY, *options)
    assert sorted(project.root.rglob("*")) == before


def test_jobs_that_differ_in_numbers_alone_are_tried_once(plan: Plan, tried: list[object]) -> None:
    assert len(plan("-m", *TINY, "seed=1,2", "optimizer.lr=0.1,0.01", "trainer.max_epochs=1,3")) == 8
    assert len(plan("-m", *TINY, "data.num_train=40,60", "batch_size=5,6")) == 4
    assert len(tried) == 1
    plan("-m", *TINY, "model.width=3,4", "trainer.gradient_clip_val=null,0.5,1.5")
    assert len(tried) == 4


def test_a_refusal_is_not_searched_for_again(plan: Plan, tried: list[object]) -> None:
    with pytest.raises(BadInput):
        plan(*TINY, *REFUSED)
    count = len(tried)
    with pytest.raises(BadInput, match=r"optimizer\.fused=True"):
        plan(*TINY, *REFUSED, "seed=7")
    assert len(tried) == count


def settings_of_the_process() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "benchmark": torch.backends.cudnn.benchmark,
        "anomaly": torch.is_anomaly_enabled(),
        "dtype": torch.get_default_dtype(),
        "environment": dict(os.environ),
        "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
        "loggers": [logging.getLogger(name).level for name in ("pytorch_lightning", "lightning_fabric", "torch")],
        "random": torch.get_rng_state().tolist(),
        "filters": list(warnings.filters),
    }


@pytest.mark.parametrize("options", [[], REFUSED, ["trainer.precision=64-true", "+trainer.detect_anomaly=true"]])
def test_planning_leaves_nothing_behind(
    plan: Plan, project: Project, capfd: pytest.CaptureFixture[str], options: list[str]
) -> None:
    before, files = settings_of_the_process(), sorted(project.root.rglob("*"))
    try:
        plan(*TINY, "+trainer.benchmark=true", *options)
    except BadInput:
        assert options == REFUSED
    after = settings_of_the_process()
    assert {key: value for key, value in after.items() if value != before[key]} == {}
    assert sorted(project.root.rglob("*")) == files
    assert capfd.readouterr() == ("", "")


def test_a_loss_on_made_up_examples_need_not_be_finite(plan: Plan, tried: list[object]) -> None:
    plan(*TINY, "optimizer=sgd", "optimizer.lr=1e30")
    assert len(tried) == 1


@pytest.mark.parametrize("kind", ["counts", "proportions", "directions", "waiting_times", "rankings", "correlated"])
def test_made_up_targets_fit_their_loss(
    plan: Plan, tried: list[object], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    losses = {
        "counts": "poisson",
        "proportions": "beta",
        "directions": "von_mises",
        "waiting_times": "gamma",
        "rankings": "plackett_luce",
        "correlated": "multivariate_normal",
    }
    monkeypatch.setattr(trial, "NonFiniteLoss", ZeroDivisionError)  # so that it counts as an error
    plan(f"data={kind}", f"loss={losses[kind]}")
    assert len(tried) == 1


def test_without_the_device_nothing_is_tried(plan: Plan, tried: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plan(*TINY, *REFUSED, "trainer=gpu")
    assert tried == []


def test_the_process_that_trains_tries_what_planning_could_not(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On resuming, or in a stage of dvc repro, the job comes from a file; it may have been planned elsewhere."""
    (job,) = plan(*TINY, "trainer=cpu")
    frozen = copy.deepcopy(job.frozen)
    frozen["trainer"] |= {"precision": "bf16-mixed", "gradient_clip_val": 1.0}
    frozen["optimizer"] |= {"fused": True}
    changed = replace(job, frozen=frozen)
    folders = JobFolders.new([changed])
    with pytest.raises(BadInput, match="do not fit together"):
        run_jobs([changed], folders, None, lambda *_: None)
    assert not list(folders.root.rglob("*"))
    monkeypatch.delenv("PIECEWISE_REQUEST", raising=False)
    with pytest.raises(BadInput, match="do not fit together"):
        train_as_rank(changed)
    os.environ.pop("PIECEWISE_REQUEST", None)
    assert not list(project.runs.rglob("*.jsonl"))


def test_several_processes_on_gpus_are_tried_by_the_first_of_them(
    plan: Plan, tried: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = plan(*TINY, "trainer=ddp")
    assert tried == []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(trial, "_take_step", lambda parts: tried.append(parts))
    trial.check_steps([job])
    assert tried == []
    trial.check_steps([job], is_rank=True)
    assert len(tried) == 1


def test_several_processes_on_cpus_have_no_synchronised_batch_norm(plan: Plan) -> None:
    with pytest.raises(BadInput, match=r"trainer\.sync_batchnorm=True needs GPUs"):
        plan(*TINY, "trainer=ddp_cpu", "+trainer.sync_batchnorm=true")
