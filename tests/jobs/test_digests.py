"""Two notations of one job have one digest; two jobs never share one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from piecewise.errors import BadInput
from piecewise.execution.train import train
from piecewise.jobs import trainer as trainers
from piecewise.jobs.config import TrainerConfig
from piecewise.jobs.digests import config_digest, decisive
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import make_trainer, with_real_precision
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from small_project import TINY

Plan = Callable[..., list[Job]]
TRAINER = {"_target_": "pytorch_lightning.Trainer", "max_epochs": 3}


def digest_of(**options: Any) -> str:
    return config_digest({"seed": 0, "scheduler": {}, "trainer": TRAINER | options})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"precision": None}, {"precision": "32-true"}),
        ({}, {"precision": "32-true"}),
        ({"deterministic": None}, {"deterministic": False}),
        ({"benchmark": None}, {"benchmark": False}),
        ({}, {"detect_anomaly": False}),
        ({}, {"max_steps": -1}),
        ({"limit_train_batches": None}, {"limit_train_batches": 1.0}),
        ({"limit_val_batches": None}, {"limit_val_batches": 1.0}),
        ({"overfit_batches": 0}, {"overfit_batches": 0.0}),
        ({"gradient_clip_val": 1}, {"gradient_clip_val": 1.0}),
        ({"gradient_clip_algorithm": "norm", "gradient_clip_val": 2}, {"gradient_clip_val": 2}),
        ({"check_val_every_n_epoch": 3}, {"check_val_every_n_epoch": 50}),
        ({}, {"check_val_every_n_epoch": 1}),
        ({}, {"accumulate_grad_batches": 1}),
        ({}, {"sync_batchnorm": None}),
        ({"accelerator": "gpu", "devices": 2, "strategy": "ddp", "num_nodes": 1, "timeout": 3}, {}),
    ],
)
def test_notations_of_one_job_have_one_digest(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert digest_of(**one) == digest_of(**other)


DIFFERENT = [
    {},
    *({"precision": precision} for precision in ("64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")),
    *({"deterministic": value} for value in (True, "warn")),
    {"benchmark": True},
    {"sync_batchnorm": False},  # null is true for several processes on GPUs
    {"limit_train_batches": 1},  # one batch; 1.0 is all
    {"limit_val_batches": 1},
    *({"overfit_batches": value} for value in (1, 1.0)),
    {"max_steps": 1},
    {"accumulate_grad_batches": 2},
    {"check_val_every_n_epoch": 2},
    {"gradient_clip_val": 1.0},
    {"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"},
]


def test_different_jobs_have_different_digests() -> None:
    digests = [digest_of(**options) for options in DIFFERENT]
    assert len(set(digests)) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"scheduler": None}, {"scheduler": {}}),
        ({"scheduler": {"_target_": "x", "interval": "step"}}, {"scheduler": {"_target_": "x", "_partial_": True}}),
        ({"data": {"max_shift": 0, "split_seed": 0}}, {"data": {}}),
        ({"optimizer": {"lr": 1.0, "_partial_": True}}, {"optimizer": {"lr": 1.0}}),
        ({"evaluate": True, "log_model": "all", "log_every_n_steps": 1, "about": {}, "tracking": None}, {}),
    ],
)
def test_other_groups_have_one_notation_too(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert config_digest(one) == config_digest(other)
    assert decisive(decisive(one)) == decisive(one)
    json.dumps(decisive(one), allow_nan=False)


def weights(job: Job, project: Project, name: str) -> str:
    folder = RunFolder.at(project / "runs" / name)
    train(job, folder)
    return str(read_result(folder)["weights_digest"])


@pytest.mark.parametrize(
    "options",
    [
        ["log_every_n_steps=1", "log_model=none", "evaluate=false", "about.question=x", "trainer.timeout=9"],
        ["~trainer.precision", "~trainer.limit_val_batches", "trainer.limit_train_batches=null"],
        ["trainer.check_val_every_n_epoch=7", "+trainer.max_steps=-1", "+trainer.benchmark=null", "~scheduler"],
    ],
)
def test_equal_digests_give_equal_weights(plan: Plan, project: Project, options: list[str]) -> None:
    (one,), (other,) = (
        plan(*TINY, "trainer.check_val_every_n_epoch=2"),
        plan(*TINY, "trainer.check_val_every_n_epoch=2", *options),
    )
    assert one.digest == other.digest
    assert weights(one, project, "one") == weights(other, project, "other")


def test_precision_changes_weights_and_digest(plan: Plan, project: Project) -> None:
    jobs = [plan(*TINY, f"trainer.precision={name}")[0] for name in ("32-true", "64-true", "bf16-mixed")]
    assert len({job.digest for job in jobs}) == 3
    assert len({weights(job, project, str(number)) for number, job in enumerate(jobs)}) == 3


def test_all_examples_in_a_batch_are_one_job_by_number_and_by_name(plan: Plan) -> None:
    jobs = [plan("data=line", f"batch_size={size}")[0] for size in ("all", 90, 89)]  # a tenth of 100 validates
    assert [job.frozen["batch_size"] for job in jobs] == ["all", "all", 89]
    assert jobs[0].digest == jobs[1].digest != jobs[2].digest


@pytest.mark.parametrize("options", [[], ["trainer=cpu"], ["~trainer.accelerator"]])
def test_a_job_has_the_precision_that_a_cpu_computes_in(
    plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setattr(trainers.torch.cuda, "is_available", lambda: False)
    (asked, *_), (real,) = (
        plan("-m", "trainer.precision=16-mixed", "seed=0,1", *options),
        plan("trainer.precision=bf16-mixed", *options),
    )
    note = "trainer.precision=16-mixed is bf16-mixed on a CPU: the job says trainer.precision=bf16-mixed"
    assert capsys.readouterr().err == f"warning: {note}\n"
    assert (asked.digest, asked.notes, real.notes) == (real.digest, (note,), ())
    assert asked.frozen["trainer"]["precision"] == "bf16-mixed"


def test_a_job_for_a_gpu_keeps_its_precision(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = plan("trainer.precision=16-mixed", "trainer.accelerator=gpu")
    assert (job.frozen["trainer"]["precision"], job.notes) == ("16-mixed", ())
    monkeypatch.setattr(trainers.torch.cuda, "is_available", lambda: True)
    config = job.frozen | {"trainer": job.frozen["trainer"] | {"accelerator": "auto"}}
    assert with_real_precision(config) == (config, [])


def test_16_mixed_does_not_train_on_a_cpu_under_another_name() -> None:
    options = TRAINER | {"precision": "16-mixed", "accelerator": "cpu", "devices": 1}
    del options["_target_"]
    with pytest.raises(BadInput, match=r"16-mixed: a CPU has none .* another run with trainer\.precision=bf16-mixed"):
        make_trainer(TrainerConfig("trainer", "pytorch_lightning.Trainer", options))


def test_a_training_does_not_depend_on_flags_that_an_earlier_one_has_set(tmp_path: object) -> None:
    """Lightning leaves PyTorch's flags alone for null: a job would depend on the one before it in its process."""
    import torch

    options = {"max_epochs": 1, "accelerator": "cpu", "devices": 1, "deterministic": None, "benchmark": None}
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = True
    try:
        make_trainer(TrainerConfig("trainer", "pytorch_lightning.Trainer", options))(
            logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False
        )
        assert not torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False
