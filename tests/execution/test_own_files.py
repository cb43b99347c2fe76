"""Training on a user's own CSV and IDX files, which takes options and no code."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from piecewise.analysis.evaluate import evaluate_run
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project

Plan = Callable[..., list[Job]]


@pytest.fixture
def table(project: Project) -> str:
    """y = 2a − b with a little noise, and whether a is above its mean."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(5, 2, 400), rng.random(400)
    rows = np.column_stack([a, b, 2 * a - b + rng.normal(0, 0.01, 400), a > 5])
    np.savetxt(project / "table.csv", rows, delimiter=",", header="a,b,y,k", comments="")
    return "data.path=table.csv"


@pytest.fixture
def images(project: Project) -> str:
    """Images of 8 × 8 pixels; the class is the number of the brighter half."""
    rng = np.random.default_rng(0)
    (project / "images").mkdir()
    for part, count in (("train", 200), ("t10k", 50)):
        labels = rng.integers(0, 2, count, dtype=np.uint8)
        pixels = rng.integers(0, 100, (count, 8, 8), dtype=np.uint8)
        for image, label in zip(pixels, labels, strict=True):
            image[:, 4 * label : 4 * label + 4] += 120
        header = struct.pack(">4I", 0x803, count, 8, 8)
        (project / "images" / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (project / "images" / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2I", 0x801, count) + labels.tobytes()
        )
    return "data.path=images"


def run(plan: Plan, project: Project, *arguments: str) -> dict[str, float]:
    (job,) = plan(*arguments, "tracking=none")
    folder = RunFolder.at(project / "run")
    train(job, folder)
    return evaluate_run(folder)


def test_regression_on_a_table(plan: Plan, project: Project, table: str) -> None:
    metrics = run(
        plan, project, "data=csv", table, "data.target=y", "model=linear", "optimizer=sgd", "trainer.max_epochs=60"
    )
    assert metrics["distance_to_closed_form"] < 0.1
    assert metrics["test/squared_error"] < 0.3  # the column k = (a > 5) is an input too


@pytest.mark.parametrize("loss", ["bernoulli", "categorical"])
def test_classification_on_a_table(plan: Plan, project: Project, table: str, loss: str) -> None:
    metrics = run(plan, project, "data=csv", table, "data.target=k", "model=mlp", f"loss={loss}", "optimizer.lr=0.01")
    assert metrics["test/accuracy"] > 0.9


@pytest.mark.parametrize("model", ["linear", "cnn"])
def test_images_in_idx_files(plan: Plan, project: Project, images: str, model: str) -> None:
    widths = ["model.width=[4,8]"] if model == "cnn" else []
    options = ["trainer.max_epochs=15", "optimizer.lr=0.02", "batch_size=20"]
    metrics = run(plan, project, "data=idx", images, f"model={model}", "loss=categorical", *options, *widths)
    assert metrics["test/accuracy"] > 0.95
