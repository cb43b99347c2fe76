"""Training that is stopped and resumed gives the same result as undisturbed training."""

from __future__ import annotations

import copy
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from piecewise import stopping
from piecewise.errors import BadInput
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import RunRecord, read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from piecewise.training import checkpoint_files, checkpoints
from piecewise.training.module import TrainingModule
from steps_taken import note_steps, stop_at

Plan = Callable[..., list[Job]]
OPTIONS = [
    "data.num_train=50",
    "data.num_test=20",
    "batch_size=10",
    "trainer.max_epochs=4",
    "log_every_n_steps=3",
    "scheduler=cosine",
    "early_stopping.patience=3",
    "tracking=none",
]
# Each change makes another experiment, so a run must not be resumed with it.
CHANGES = {
    "seed": 1,
    "batch_size": 15,
    "select": "last",
    "data": "line",
    "data.noise": 0.2,
    "data.num_train": 60,
    "data.val_fraction": 0.3,
    "data.split_seed": 4,
    "model": "mlp",
    "model.width": 11,
    "model.activation": "tanh",
    "model.init": "he",
    "loss": "laplace",
    "loss.sigma": 2.0,
    "optimizer": "sgd",
    "optimizer.lr": 0.5,
    "+optimizer.weight_decay": 0.1,
    "scheduler": "onecycle",
    "early_stopping.patience": 4,
    "early_stopping.min_delta": 0.1,
    "trainer.max_epochs": 5,
    "trainer.gradient_clip_val": 1.0,
    "trainer.accumulate_grad_batches": 2,
    "trainer.check_val_every_n_epoch": 2,
    "trainer.precision": "bf16-mixed",
    "trainer.deterministic": False,
}


def changed(job: Job, plan: Plan, key: str, value: Any) -> Job:
    """The job with one option changed. Only a change of a whole group is composed again, because that is slow."""
    if "." not in key and isinstance(value, str):
        return plan(*OPTIONS, f"{key}={value}")[0]
    config = copy.deepcopy(job.frozen)
    group, _, leaf = key.lstrip("+").rpartition(".")
    (config[group] if group else config)[leaf] = value
    return replace(job, frozen=config)


def record_of(folder: RunFolder) -> RunRecord:
    record = read_journal(folder.journal)
    assert record is not None
    return record


def assert_same_parameters(folder: RunFolder, other: RunFolder) -> None:
    for name, value in load_file(folder.weights).items():
        torch.testing.assert_close(value, load_file(other.weights)[name], rtol=0, atol=0)
    assert folder.parameter_path.read_bytes() == other.parameter_path.read_bytes()


@pytest.fixture
def undisturbed(plan: Plan, project: Project) -> RunFolder:
    folder = RunFolder.at(project / "undisturbed")
    train(plan(*OPTIONS)[0], folder)
    return folder


SINGLE = ["batch_size=all", "trainer.max_epochs=20", "trainer.check_val_every_n_epoch=4"]  # epochs of one batch


@pytest.mark.parametrize("step", [7, 8])  # before an epoch without validation, and before one with it
def test_epochs_of_a_single_batch_stop_and_resume_too(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    (job,) = plan(*OPTIONS, *SINGLE)
    folder, undisturbed = RunFolder.at(project / "runs" / "one"), RunFolder.at(project / "undisturbed")
    train(job, undisturbed)
    with monkeypatch.context() as patched:
        stop_at(patched, step)
        with pytest.raises(stopping.Stopped):
            train(job, folder)
    newest = checkpoint_files.newest(folder.checkpoints)
    assert newest == checkpoint_files.path_of(folder.checkpoints, step)
    train(job, folder, is_resumed=True)
    assert_same_parameters(folder, undisturbed)
    assert record_of(folder).history() == record_of(undisturbed).history()


@pytest.mark.parametrize("step", [15, 16, 17])  # after a validation, and within the last epoch
def test_the_validation_after_the_last_epoch_is_made_after_resuming_too(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    (job,) = plan(*OPTIONS, "trainer.check_val_every_n_epoch=3")
    folder = RunFolder.at(project / "runs" / "one")
    with monkeypatch.context() as patched:
        stop_at(patched, step)
        with pytest.raises(stopping.Stopped):
            train(job, folder)
    train(job, folder, is_resumed=True)
    assert [at for at, _ in record_of(folder).history()["val/nll"]] == [15, 20]


@pytest.mark.parametrize("step", [1, 5, 7, 19])  # the first, the last of an epoch, in the middle of one, near the end
def test_stopped_and_resumed_equals_undisturbed(
    plan: Plan, project: Project, undisturbed: RunFolder, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    (job,) = plan(*OPTIONS)
    folder = RunFolder.at(project / "runs" / "one")
    with monkeypatch.context() as patched:
        stop_at(patched, step)
        with pytest.raises(stopping.Stopped) as stopped:
            train(job, folder)
    assert stopped.value.code == 143
    assert not folder.result.is_file()
    end = record_of(folder).end
    assert end is not None
    assert (end.status, end.reason) == ("KILLED", "Stopped: stopped by SIGTERM")

    taken = note_steps(monkeypatch)
    train(job, folder, is_resumed=True)
    assert taken == list(range(step, 20))  # resumed, not restarted, which would give the same weights
    assert read_result(folder)["steps"] == 20
    assert_same_parameters(folder, undisturbed)
    assert read_result(folder)["selected_step"] == read_result(undisturbed)["selected_step"]
    assert record_of(folder).history() == record_of(undisturbed).history()
    assert len(record_of(folder).resumed) == 1


def test_a_signal_in_the_last_step_does_not_stop_training(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = plan(*OPTIONS, "+trainer.max_steps=7", "log_every_n_steps=3")
    folder = RunFolder.at(project / "runs" / "one")
    stop_at(monkeypatch, 7)
    with pytest.raises(stopping.Stopped):
        train(job, folder)
    assert read_result(folder)["steps"] == 7
    assert [step for step, _ in record_of(folder).history()["train/nll"]] == [1, 3, 6, 7]


def test_dropout_masks_are_the_same_after_resuming(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout is a function of seed and step, not of the generator's history."""
    (job,) = plan(*OPTIONS, "model=mlp", "model.width=16", "model.dropout=0.4")
    folder, undisturbed = RunFolder.at(project / "runs" / "one"), RunFolder.at(project / "undisturbed")
    train(job, undisturbed)
    with monkeypatch.context() as patched:
        stop_at(patched, 7)
        with pytest.raises(stopping.Stopped):
            train(job, folder)
    torch.manual_seed(99)
    train(job, folder, is_resumed=True)
    assert_same_parameters(folder, undisturbed)
    assert record_of(folder).history() == record_of(undisturbed).history()


def test_a_second_signal_stops_within_the_step(plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    original = TrainingModule.training_step

    def training_step(self: TrainingModule, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the step went on after the second signal")
        return original(self, *arguments)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    folder = RunFolder.at(project / "runs" / "one")
    with pytest.raises(stopping.Stopped) as stopped, stopping.handle_signals():
        train(plan(*OPTIONS)[0], folder)
    assert stopped.value.code == 130
    assert not list(folder.checkpoints.glob("*.ckpt"))


def test_a_killed_training_resumes_from_its_last_checkpoint(
    plan: Plan, project: Project, undisturbed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics after the checkpoint are measured again with the same values, and count once."""
    (job,) = plan(*OPTIONS)
    folder = RunFolder.at(project / "runs" / "one")
    with monkeypatch.context() as patched:
        original = TrainingModule.training_step

        def training_step(self: TrainingModule, *arguments: Any) -> Any:
            if self.trainer.global_step == 13:
                raise MemoryError
            return original(self, *arguments)

        patched.setattr(TrainingModule, "training_step", training_step)
        patched.setattr(checkpoints, "INTERVAL_SECONDS", 0)
        patched.setattr(checkpoints, "INTERVAL_FACTOR", 0)
        with pytest.raises(MemoryError):
            train(job, folder)
    assert record_of(folder).end.status == "FAILED"  # type: ignore[union-attr]
    assert checkpoint_files.newest(folder.checkpoints) == folder.checkpoints / "000000013.ckpt"
    taken = note_steps(monkeypatch)
    train(job, folder, is_resumed=True)
    assert taken == list(range(13, 20))
    assert_same_parameters(folder, undisturbed)
    assert record_of(folder).history() == record_of(undisturbed).history()


def test_a_run_is_not_resumed_with_other_data_or_another_job(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    with monkeypatch.context() as patched:
        stop_at(patched, 7)
        with pytest.raises(stopping.Stopped):
            train(plan(*OPTIONS)[0], folder)
    before = folder.journal.read_bytes()
    (begun,) = plan(*OPTIONS)
    for key, value in CHANGES.items():
        job = changed(begun, plan, key, value)
        with pytest.raises(
            BadInput,
            match=rf"\b{re.escape(key.lstrip('+'))}(\.\w+)?=.*, but the run has .*: a run continues as it began",
        ):
            train(job, folder, is_resumed=True)
    assert folder.journal.read_bytes() == before


def test_a_run_may_be_resumed_on_other_devices(plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.at(project / "runs" / "one")
    with monkeypatch.context() as patched:
        stop_at(patched, 7)
        with pytest.raises(stopping.Stopped):
            train(plan(*OPTIONS)[0], folder)
    train(plan(*OPTIONS, "log_every_n_steps=5", "trainer.timeout=9", "evaluate=false")[0], folder, is_resumed=True)
    assert read_result(folder)["steps"] == 20
