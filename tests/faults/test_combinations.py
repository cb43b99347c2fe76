"""Options that are each legal: together they train, are evaluated and drawn, or are refused before anything starts."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import numpy as np
import pytest

from piecewise.commands.train import show
from piecewise.data.idx import FILES
from piecewise.errors import BadInput, NonFiniteLoss
from piecewise.execution.job_folders import JobFolders
from piecewise.execution.run_jobs import run_jobs
from piecewise.jobs.trainer import check_devices
from piecewise.journal.run_folder import read_result
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from trials import Trials

# The data sets, with the losses that fit their targets.
REAL = ["squared_error", "heteroscedastic", "laplace", "student_t", "mixture", "multivariate_normal"]
LOSSES = {
    **dict.fromkeys(["line", "curve_1d", "two_modes", "outliers", "funnel", "correlated", "gabor"], REAL),
    "binary_1d": ["bernoulli"],
    "multiclass_1d": ["categorical"],
    "moons": ["bernoulli"],
    "spirals": ["bernoulli"],
    "regions_2d": ["bernoulli"],
    "mnist1d": ["categorical"],
    "waiting_times": ["exponential", "gamma", "squared_error"],
    "proportions": ["beta", "gamma"],
    "directions": ["von_mises", "laplace"],
    "counts": ["poisson", "student_t"],
    "rankings": ["plackett_luce"],
    "csv": REAL,
    "idx": ["categorical"],
}
MODELS = [
    ["linear"],
    ["shallow", "model.width=5"],
    ["mlp", "model.width=[6,4]"],
    ["mlp", "model.width=[6]", "model.norm=batch"],
    ["mlp", "model.width=[6]", "model.norm=layer", "model.dropout=0.3"],
    ["residual", "model.width=6", "model.depth=2", "model.norm=batch"],
]
IMAGE_MODELS = [["cnn", "model.width=[4,4]"], ["resnet", "model.width=[4,4]"]]
OTHER_OPTIMIZERS = [
    *("Adadelta", "Adafactor", "Adagrad", "Adamax", "ASGD", "LBFGS", "Muon", "NAdam", "RAdam", "RMSprop", "Rprop"),
    "SparseAdam",
]
SCHEDULERS = [
    *(["none"], ["none"], ["cosine"], ["onecycle"], ["warmup", "scheduler.total_iters=2"]),
    ["step", "scheduler.step_size=1"],
    ["onecycle", "scheduler.cycle_momentum=true"],
    *(["cosine", "scheduler.interval=epoch"], ["onecycle", "scheduler.interval=epoch"]),
]
OTHER_SCHEDULERS = [
    *(["ReduceLROnPlateau"], ["PolynomialLR"], ["ExponentialLR", "+scheduler.gamma=0.5"]),
    ["CyclicLR", "+scheduler.base_lr=0.001", "+scheduler.max_lr=0.01"],
    ["CosineAnnealingWarmRestarts", "+scheduler.T_0=1"],
]
CLIPPING = [
    *([], [], ["trainer.gradient_clip_val=0.5"]),
    *(["trainer.gradient_clip_val=1", f"+trainer.gradient_clip_algorithm={name}"] for name in ("norm", "value")),
]
STOPPING = [[], [], ["early_stopping.patience=1"], ["early_stopping.patience=2", "early_stopping.min_delta=0.1"]]
# Each option with its values; `None` leaves it out.
OPTIONS: dict[str, list[str | None]] = {
    "trainer.precision": ["32-true", "32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true"],
    "trainer.accumulate_grad_batches": [None, None, "2", "3", "9"],
    "trainer.limit_train_batches": [None, None, None, "2", "0.7", "1.0"],
    "trainer.limit_val_batches": [None, None, "1", "1.0"],
    "trainer.overfit_batches": [None, None, None, "1", "2", "0.7"],
    "trainer.check_val_every_n_epoch": [None, None, "2", "5"],
    "trainer.deterministic": [None, None, "false", "warn"],
    "+trainer.benchmark": [None, None, "true"],
    "+trainer.detect_anomaly": [None, None, None, "true"],
    "+trainer.sync_batchnorm": [None, None, None, "true"],
    "+trainer.max_steps": [None, None, "1", "2"],
    "batch_size": ["all", "1", "2", "3", "4", "5", "8"],
    "select": [None, "last"],
    "log_every_n_steps": [None, "1", "3"],
    "data.val_fraction": [None, None, "0.5"],
    "seed": ["0", "1", "12345678901"],
}


def draw(rng: Random, folder: Path) -> list[str]:
    """The arguments of `piecewise train` for one job of two epochs."""
    data = rng.choice(sorted(LOSSES))
    loss = rng.choice(LOSSES[data]) if rng.random() < 0.95 else rng.choice(REAL)
    model = rng.choice(IMAGE_MODELS if data == "idx" and rng.random() < 0.7 else MODELS)
    words = [f"data={data}", f"loss={loss}", f"model={model[0]}", *model[1:], *sizes(data, folder)]
    if rng.random() < 0.7:
        words += [f"optimizer={rng.choice(['sgd', 'gd', 'momentum', 'nesterov', 'adam', 'adamw'])}"]
        words += rng.choice([[], [], [], ["+optimizer.fused=true"], ["+optimizer.fused=false"]])
        words += rng.choice([[], [], [], ["+optimizer.foreach=true"], ["+optimizer.maximize=true"]])
    else:
        words += ["~optimizer", f"+optimizer._target_=torch.optim.{rng.choice(OTHER_OPTIMIZERS)}", "+optimizer.lr=0.01"]
    if rng.random() < 0.8:
        scheduler = rng.choice(SCHEDULERS)
        words += [f"scheduler={scheduler[0]}", *scheduler[1:]]
    else:
        scheduler = rng.choice(OTHER_SCHEDULERS)
        words += [f"+scheduler._target_=torch.optim.lr_scheduler.{scheduler[0]}", *scheduler[1:]]
    words += rng.choice(CLIPPING) + rng.choice(STOPPING)
    chosen = {key: rng.choice(values) for key, values in OPTIONS.items()}
    words += [f"{key}={value}" for key, value in chosen.items() if value is not None]
    return [*words, "trainer.max_epochs=2", "optimizer.lr=0.01", "trainer.accelerator=cpu", "tracking=none"]


def sizes(data: str, folder: Path) -> list[str]:
    """Few examples, generated in memory or lying in `folder`."""
    if data == "csv":
        return [f"data.path={folder}/table.csv", "data.target=y", "data.test_fraction=0.3"]
    if data == "idx":
        return [f"data.path={folder}"]
    if data == "mnist1d":
        return ["data.folder=null", "data.num_examples=100"]
    return ["data.folder=null", "data.num_train=21", "data.num_test=9"]


def write_data(folder: Path) -> None:
    """A table, and images of 9 × 8 pixels in three classes."""
    rng = np.random.default_rng(0)
    lines = [",".join(f"{value:.3f}" for value in row) for row in rng.normal(size=(30, 3))]
    (folder / "table.csv").write_text("\n".join(["a,b,y", *lines]))
    for part, count in (("train", 24), ("test", 9)):
        images, labels = rng.integers(0, 256, (count, 9, 8)), np.arange(count) % 3
        for name, array in zip(FILES[part], (images, labels), strict=True):
            head = struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape)
            (folder / name).write_bytes(head + array.astype(np.uint8).tobytes())


@pytest.mark.filterwarnings("default")
def test_a_combination_trains_or_is_refused_before_it_starts(
    project: Project, trials: Trials, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path)
    for rng in trials("combinations of legal options that train, or are refused before", 300):
        words, before = draw(rng, tmp_path), sorted(project.root.rglob("*"))
        try:
            jobs = plan_command_line(project / "conf", words)
            check_devices(job.config.trainer for job in jobs)
        except BadInput:
            assert sorted(project.root.rglob("*")) == before, words
            continue
        folders = JobFolders.new(jobs)
        try:
            run_jobs(jobs, folders, None, show)
        except NonFiniteLoss:  # in float16, small numbers that optimizers divide by become 0
            assert "trainer.precision=16-true" in words, words
            continue
        result = read_result(folders.jobs[0])
        assert result["steps"] >= 1, words
        assert folders.jobs[0].metrics.is_file(), words
