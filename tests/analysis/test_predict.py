from __future__ import annotations

import csv
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from piecewise.analysis.predict import predict
from piecewise.analysis.trained import load_trained
from piecewise.errors import BadInput, PiecewiseError
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project

Plan = Callable[..., list[Job]]
SHORT = ["trainer.max_epochs=2", "batch_size=10", "tracking=none"]


def trained(job: Job, place: Path) -> RunFolder:
    folder = RunFolder.at(place / "runs" / "one")
    train(job, folder)
    return folder


def read(text: str) -> dict[str, list[float]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    return {key: [float(row[key]) for row in rows] for key in rows[0]}


def test_prediction_is_the_networks_output(tiny_job: Job, project: Project) -> None:
    folder = trained(tiny_job, project)
    (project / "x.csv").write_text("x\n0.25\n-1\n")
    model = load_trained(folder).model
    wanted = model(torch.tensor([[0.25], [-1.0]])).double().flatten().tolist()
    found = read(predict(folder, project / "x.csv"))
    assert found["prediction"] == found["mu"] == wanted
    assert found["sigma"] == [1.0, 1.0]
    for name, sign in (("low", -1), ("high", 1)):
        np.testing.assert_allclose(found[name], np.array(wanted) + sign * 1.959963984540054, atol=1e-12)


def test_a_table_is_prepared_as_for_training_whatever_the_order_of_its_columns(plan: Plan, project: Project) -> None:
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(50, 9, (40, 2)), rng.integers(0, 3, 40)])
    np.savetxt(project / "train.csv", table, delimiter=",", header="a,b,kind", comments="")
    np.savetxt(project / "new.csv", table[:5, [1, 0]], delimiter=",", header="b,a", comments="")
    (job,) = plan("data=csv", "data.path=train.csv", "data.target=kind", "model=mlp", "loss=categorical", *SHORT)
    folder = trained(job, project)
    parts = load_trained(folder)
    inputs = parts.source.inputs(project / "train.csv")[:5]
    wanted = parts.model(inputs).double().softmax(dim=1)
    found = read(predict(folder, project / "new.csv"))
    assert found["prediction"] == wanted.argmax(dim=1).tolist()
    np.testing.assert_allclose(np.column_stack([found[f"probability_{n}"] for n in range(3)]), wanted.detach())
    assert abs(float(parts.source.inputs(project / "train.csv").mean())) < 0.5  # standardised, not near 50


def test_a_binary_prediction_comes_with_its_probability(plan: Plan, project: Project) -> None:
    folder = trained(plan("data=binary_1d", "loss=bernoulli", "data.num_train=40", *SHORT)[0], project)
    (project / "x.csv").write_text("x\n0.1\n0.9\n")
    found = read(predict(folder, project / "x.csv"))
    assert found["prediction"] == [float(value > 0.5) for value in found["probability"]]


@pytest.mark.parametrize(
    ("data", "loss", "columns"),
    [
        ("correlated", "multivariate_normal", "prediction_# low_# high_# mu_# cholesky_#_#"),
        ("two_modes", "mixture", "prediction low high weight_0_# mu_0_# sigma_0_#"),
        ("counts", "poisson", "prediction low high rate"),
        ("rankings", "plackett_luce", "prediction_@ probability_first_@"),
        ("waiting_times", "gamma", "prediction low high shape rate"),
    ],
)
def test_each_distribution_has_its_columns(plan: Plan, project: Project, data: str, loss: str, columns: str) -> None:
    (job,) = plan(f"data={data}", f"loss={loss}", "data.num_train=40", "data.num_test=20", *SHORT)
    folder = trained(job, project)
    (project / "x.csv").write_text("x\n0.1\n0.9\n")
    found = read(predict(folder, project / "x.csv"))
    wanted = columns.split()
    for sign, count in (("#", 2), ("#", 2), ("@", 4)):  # each sign stands for an index
        wanted = [name.replace(sign, str(n), 1) for name in wanted for n in range(count if sign in name else 1)]
    assert sorted(found) == sorted(wanted)
    for name in [name for name in found if name.startswith("low")]:
        assert (np.array(found[name]) < np.array(found[name.replace("low", "high")])).all()


def test_images_come_from_an_idx_file(plan: Plan, project: Project) -> None:
    folder = project / "mine"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 10)):
        pixels, labels = rng.integers(0, 256, (count, 4, 4), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 2
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 4, 4) + pixels.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels.tobytes())
    (job,) = plan("data=idx", "data.path=mine", "model=mlp", "loss=categorical", *SHORT)
    run = trained(job, project)
    found = read(predict(run, folder / "t10k-images-idx3-ubyte"))
    assert len(found["prediction"]) == 10
    with pytest.raises(BadInput, match=r"labels-idx1-ubyte holds examples of shape \(\); the model takes \(1, 4, 4\)"):
        predict(run, folder / "t10k-labels-idx1-ubyte")


@pytest.mark.parametrize(
    ("text", "message"),
    [("x,z\n1,2\n", "has 2 columns; the model takes 1"), ("x\nfoo\n", "must hold numbers only"), ("x\n", "at least 1")],
)
def test_unusable_inputs_are_refused(tiny_job: Job, project: Project, text: str, message: str) -> None:
    folder = trained(tiny_job, project)
    (project / "x.csv").write_text(text)
    with pytest.raises(BadInput, match=message):
        predict(folder, project / "x.csv")


def test_inputs_that_overflow_are_named(plan: Plan, project: Project) -> None:
    large_weights = ["loss=laplace", "optimizer=sgd", "optimizer.lr=1000", "batch_size=all", "trainer.max_epochs=1"]
    folder = trained(plan(*large_weights, "tracking=none")[0], project)
    (project / "x.csv").write_text("x\n0.5\n3e38\n1\n3e38\n")
    with pytest.raises(BadInput, match=r"x\.csv: .* not finite for 2 of 4 examples, the first of them example 2;"):
        predict(folder, project / "x.csv")


def test_missing_file_and_unfinished_run_are_refused(tiny_job: Job, project: Project) -> None:
    with pytest.raises(BadInput, match=r"--input=.*none\.csv does not exist"):
        predict(RunFolder.at(project / "runs" / "one"), project / "none.csv")
    (project / "x.csv").write_text("x\n1\n")
    with pytest.raises(PiecewiseError, match="holds no result"):
        predict(RunFolder.at(project / "runs" / "one"), project / "x.csv")


def test_changed_training_data_are_refused(plan: Plan, project: Project) -> None:
    path = project / "train.csv"
    np.savetxt(path, np.random.default_rng(0).normal(size=(40, 2)), delimiter=",", header="a,y", comments="")
    (job,) = plan("data=csv", "data.path=train.csv", "data.target=y", *SHORT)
    folder = trained(job, project)
    (project / "x.csv").write_text("a\n1\n")
    assert predict(folder, project / "x.csv").startswith("prediction,low,high,mu,sigma\n")
    path.write_text(path.read_text() + "1,2\n")
    with pytest.raises(BadInput, match="scaled by this run's training data, which have changed"):
        predict(folder, project / "x.csv")
