"""Whatever the precision of the model, targets, losses and metrics keep at least float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn

from losses.cases import CASES, Case
from piecewise.analysis.evaluate import evaluate_run
from piecewise.analysis.predict import predict
from piecewise.data.resident import Batch
from piecewise.data.spec import TargetKind
from piecewise.execution.train import train
from piecewise.jobs.build import build_parts
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from piecewise.training.module import TrainingModule
from piecewise.training.quiet_lightning import quiet_lightning

Plan = Callable[..., list[Job]]
MODEL = {  # the type of the weights
    "16-true": torch.float16,
    "bf16-true": torch.bfloat16,
    "16-mixed": torch.float32,
    "bf16-mixed": torch.float32,
    "32-true": torch.float32,
    "64-true": torch.float64,
}
# float16 makes of 1001, 2049 and 70,000: 1001, 2048 and infinity; bfloat16: 1000, 2048 and 70,144.
EXTREME: dict[TargetKind, list[list[float]]] = {
    TargetKind.REAL: [[70_000.5, -123_456.0], [1001, 1e-7], [-2049, 0.1]],
    TargetKind.POSITIVE: [[70_000.5, 1e-6], [1001, 2049], [0.1, 1]],
    TargetKind.PROPORTION: [[1e-6, 0.999999], [0.0003, 0.9996], [0.1, 0.5]],
    TargetKind.ANGLE: [[3.1415, -3.1415], [1e-5, 0.1], [2.001, -1.999]],
    TargetKind.COUNT: [[70_000, 0], [1001, 2049], [65_505, 1]],
    TargetKind.BINARY: [[0, 1], [1, 1], [0, 0]],
}


def targets_of(case: Case) -> Tensor:
    if case.loss.kind in EXTREME:
        return torch.tensor(EXTREME[case.loss.kind], dtype=torch.float32)
    return case.draw()[1][:3]


def prepared(case: Case, precision: str) -> TrainingModule:
    """A module with a linear model, as Lightning has it in `precision`."""
    torch.manual_seed(0)
    module = TrainingModule(nn.Linear(3, case.num_outputs), case.loss, torch.optim.Adam)
    # On a CPU, Lightning would replace 16-mixed by bf16-mixed.
    how = {"plugins": [MixedPrecision("16-mixed", "cpu")]} if precision == "16-mixed" else {"precision": precision}
    with quiet_lightning():
        options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        module.trainer = pl.Trainer(accelerator="cpu", **how, **options)  # type: ignore[arg-type]
    module.trainer.precision_plugin.convert_module(module)
    return module


@pytest.mark.parametrize("precision", MODEL)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_objective_and_metrics_are_those_of_the_outputs_in_float64(case: Case, precision: str) -> None:
    module, y = prepared(case, precision), targets_of(case)
    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    plugin = module.trainer.precision_plugin
    batch = plugin.convert_input(Batch(x, y, 3, 3))
    with plugin.forward_context():
        objective = module.training_step(batch, 0)
        module.validation_step(batch, 0)
        outputs = module.model(x.to(MODEL[precision])).double().detach()
    exact = y.double() if y.is_floating_point() else y
    tolerance = 1e-12 if precision == "64-true" else 1e-4
    assert objective.dtype == torch.promote_types(MODEL[precision], torch.float32)
    torch.testing.assert_close(objective.double(), case.loss.objective(outputs, exact).mean(), rtol=tolerance, atol=0)
    torch.testing.assert_close(module.train_nll[0].double(), case.loss.nll(outputs, exact), rtol=tolerance, atol=1e-4)
    assert module.val_values is not None
    wanted = torch.stack([case.loss.nll(outputs, exact), case.loss.scores(outputs, exact).double()], dim=1)
    torch.testing.assert_close(module.val_values[:, :2], wanted, rtol=1e-12, atol=1e-12)
    objective.backward()
    assert {weight.grad.dtype for weight in module.parameters() if weight.grad is not None} == {MODEL[precision]}
    assert torch.get_default_dtype() is torch.float32


@pytest.fixture
def table(project: Project) -> Path:
    """Forty rows; y is about 70,000, more than float16 can hold."""
    path = project / "large.csv"
    path.write_text("x,y\n" + "".join(f"{number / 40},{70_000 + number}\n" for number in range(40)))
    return path


@pytest.mark.parametrize("precision", ["16-true", "bf16-true"])
def test_large_targets_train_and_are_measured_with_a_model_in_half_precision(
    plan: Plan, project: Project, table: Path, precision: str
) -> None:
    """With a rate of zero the model stays, and its errors are known."""
    options = ["batch_size=all", "trainer.max_epochs=2", "tracking=none", "optimizer=sgd", "optimizer.lr=0"]
    options += ["loss.sigma=10.0"]  # gradients of the bias would be larger than float16 can hold
    (job,) = plan("data=csv", f"data.path={table}", "data.target=y", *options, f"trainer.precision={precision}")
    folder = RunFolder.at(project / "one")
    train(job, folder)
    record = read_journal(folder.journal)
    assert record is not None
    parts = build_parts(job.config)
    model = parts.model.to(MODEL[precision])

    def squared_error(x: Tensor, y: Tensor) -> float:
        with torch.no_grad():
            return float((model(x.to(MODEL[precision])).double() - y.double()).square().mean())

    train_set, val_set = parts.examples
    test_set = parts.source.test(parts.loss.kind)
    found, sigma = record.history(), 10.0
    assert found["val/squared_error"][-1][1] == pytest.approx(squared_error(val_set.x, val_set.y), rel=1e-12)
    wanted = squared_error(train_set.x, train_set.y) / (2 * sigma**2) + math.log(sigma * math.sqrt(2 * math.pi))
    assert [value for _, value in found["train/nll"]] == pytest.approx([wanted] * 2, rel=1e-6)
    assert evaluate_run(folder)["test/squared_error"] == pytest.approx(squared_error(test_set.x, test_set.y), rel=1e-12)
    assert read_result(folder)["numerics"]["precision"] == precision
    rows = predict(folder, table_of_inputs(table)).splitlines()
    with torch.no_grad():
        x = parts.source.inputs(table_of_inputs(table))
        expected = model(x.to(MODEL[precision])).flatten().tolist()
    assert [float(row.split(",")[0]) for row in rows[1:]] == pytest.approx(expected, rel=1e-12)


def table_of_inputs(table: Path) -> Path:
    """A file with the inputs alone."""
    path = table.with_name("inputs.csv")
    path.write_text("x\n0.1\n0.9\n")
    return path
