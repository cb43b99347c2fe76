"""Prepare `make gpu`: freeze its jobs, and collect what a machine without Hydra, MNIST and a network needs.

A job file says all of a training, so the machine with the GPU needs neither Hydra nor MLflow nor DVC.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path

from piecewise.jobs.about import experiments
from piecewise.jobs.job import Job
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from small_project import write_images

FOLDER = Path(".gpu")  # in the project's root
MNIST = Path("data", "mnist")
MAX_BYTES = 64 << 20  # of the folder and the checkout together
OPTIMIZERS = ("momentum", "adam")
# For each model: data with few examples, and a loss that fits.
SMALL = ("data.num_train=60", "data.num_test=20", "batch_size=16")
IMAGES = ("data=idx", f"data.path={FOLDER}/images", "loss=categorical", "batch_size=16", "model.width=[4,8]")
MODELS = {
    "linear": ("data=line", *SMALL),
    "shallow": ("data=curve_1d", "model.width=20", *SMALL),
    "mlp": ("data=spirals", "loss=bernoulli", "model.width=16", "model.norm=layer", *SMALL),
    "residual": ("data=multiclass_1d", "loss=categorical", "model.depth=2", "model.width=16", *SMALL),
    "gabor": ("data=gabor", *SMALL),
    "cnn": IMAGES,
    "resnet": IMAGES,
}
# A job whose randomness must repeat: dropout, and a schedule whose position must be restored.
LONG = (
    "data=curve_1d",
    "model=mlp",
    "model.width=32",
    "model.dropout=0.1",
    "scheduler=cosine",
    "trainer.max_epochs=40",
)
# Wheels that the machine lacks; it has PyTorch, torchvision, Lightning, SciPy and matplotlib.
WHEELS = ("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "mnist1d")
PYTHON = "3.12"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def plan(*options: str) -> Job:
    """The job that `piecewise train OPTIONS` would run on one GPU."""
    (job,) = plan_command_line(Project.find().conf, [*options, "trainer.accelerator=gpu", "tracking=none"])
    return job


def matrix_job(model: str, optimizer: str) -> Job:
    """Four steps of a small model. Its precision is changed when it runs."""
    lengths = ("trainer.max_epochs=1", "log_every_n_steps=1", "select=last")
    return plan(f"model={model}", *MODELS[model], f"optimizer={optimizer}", "optimizer.lr=0.02", *lengths)


def write_jobs(folder: Path) -> None:
    """Freeze every job that `make gpu` trains."""
    shutil.rmtree(folder / "jobs", ignore_errors=True)
    write_images(folder / "images")
    for model, optimizer in product(MODELS, OPTIMIZERS):
        matrix_job(model, optimizer).write(folder / "jobs" / "matrix" / f"{model}-{optimizer}.json")
    plan(*LONG).write(folder / "jobs" / "long.json")
    for name in experiments(Project.find().conf):
        widths = ("model.width=3", "model.width=20") if name == "shallow_regression" else ("seed=0",)
        for number, option in enumerate(widths):
            path = folder / "jobs" / "experiments" / f"{name}-{number}.json"
            plan(f"experiment={name}", option).write(path)


def collect(folder: Path) -> None:
    """Pack MNIST, and download wheels in the versions that are installed here. Exits if it is more than MAX_BYTES."""
    (folder / "mnist").mkdir(parents=True, exist_ok=True)
    images = sorted(MNIST.glob("*-ubyte"))
    if not images:
        print(f"{MNIST} is missing, so the experiments on MNIST will not run: dvc repro fetch makes it")
    for path in images:
        (folder / "mnist" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    wanted = [f"{name}=={version(name)}" for name in WHEELS]
    command = ["pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", PYTHON]
    shutil.rmtree(folder / "wheels", ignore_errors=True)
    command += [*platforms, "--implementation", "cp", "--dest", str(folder / "wheels"), *wanted]
    subprocess.run([sys.executable, "-m", *command], check=True)
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")
    files = [*(path for path in folder.rglob("*") if path.is_file()), *map(Path, filter(None, tracked))]
    size = sum(path.lstat().st_size for path in files)
    print(f"{folder} and the checkout: {size / (1 << 20):.0f} MiB of {MAX_BYTES >> 20} MiB")
    if size > MAX_BYTES:
        raise SystemExit("too much to carry")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--collect", action="store_true", help="also pack MNIST and download wheels")
    asked = arguments.parse_args()
    write_jobs(FOLDER)
    if asked.collect:
        collect(FOLDER)
