from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from losses.cases import CASES, Case
from piecewise.data.spec import Examples
from piecewise.errors import NonFiniteLoss
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.losses.categorical import Categorical
from piecewise.losses.squared_error import SquaredError
from piecewise.project import Project
from piecewise.training.evaluation import evaluate, exact_values

EPOCH = ("trainer.max_epochs=1", "tracking=none")


def test_metrics_are_exact_means_over_the_unpadded_set() -> None:
    torch.manual_seed(0)
    model, test = nn.Linear(4, 3), Examples(torch.randn(1003, 4), torch.randint(3, (1003,)))
    found = evaluate(model, Categorical(), test)
    logits = model(test.x).detach().double()
    log_probability = torch.distributions.Categorical(logits=logits).log_prob(test.y)
    assert found.metrics["test/nll"] == pytest.approx(-float(log_probability.mean()), abs=1e-7)
    assert found.metrics["test/accuracy"] == int((logits.argmax(1) == test.y).sum()) / 1003
    assert found.outputs.shape == (1003, 3)


def test_dropout_and_batch_norm_are_off() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 1))
    test = Examples(torch.randn(10, 4), torch.randn(10, 1))
    first, second = (evaluate(model, SquaredError(), test).metrics for _ in range(2))
    assert first == second
    assert model[1].num_batches_tracked == 0


def test_squared_error_metric_is_the_mean_square() -> None:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 0.0)
    metrics = evaluate(
        model, SquaredError(), Examples(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [1.0]]))
    ).metrics
    assert metrics["test/squared_error"] == (1 + 9) / 2
    assert metrics["test/nll"] == pytest.approx((1 + 9) / 4 + 0.5 * math.log(2 * math.pi))


def test_another_chunk_size_changes_only_the_last_digits() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
    test = Examples(torch.rand(1003, 784), torch.randint(10, (1003,)))
    whole, *others = (evaluate(model, Categorical(), test, size).metrics for size in (1003, 1000, 128, 7, 1))
    for other in others:
        assert other["test/accuracy"] == whole["test/accuracy"]
        assert other["test/nll"] == pytest.approx(whole["test/nll"], abs=1e-8)


def test_half_precision_is_measured_in_float64() -> None:
    """A likelihood in bfloat16 would have two digits."""
    outputs, targets = torch.tensor([[3.0, 1.0]], dtype=torch.bfloat16), torch.tensor([1])
    nll, score = exact_values(Categorical(), outputs, targets)
    assert nll.dtype is score.dtype is torch.float64
    assert float(nll) == pytest.approx(math.log1p(math.exp(-2)) + 2, abs=1e-14)


def test_outputs_that_overflow_are_named_before_any_metric() -> None:
    model, test = nn.Linear(1, 1), Examples(torch.tensor([[1.0], [3e38], [2.0]]), torch.zeros(3, 1))
    nn.init.constant_(model.weight, 2.0)
    with pytest.raises(NonFiniteLoss, match="outputs are not finite for 1 of 3 test examples"):
        evaluate(model, SquaredError(), test)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_values_are_nan_where_an_output_is_not_finite_and_nowhere_else(case: Case, wrong: float) -> None:
    outputs, targets = case.draw()
    nll, score = exact_values(case.loss, outputs, targets)
    outputs[1, -1] = wrong
    for before, after in zip((nll, score), exact_values(case.loss, outputs, targets), strict=True):
        assert torch.isnan(after).nonzero().flatten().tolist() == [1]
        others = torch.arange(len(before)) != 1
        torch.testing.assert_close(after[others], before[others], rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_weights_that_overflow_in_the_last_step_end_the_training_by_name(
    project: Project, plan: Callable[..., list[Job]]
) -> None:
    """The loss of that step was finite; it is validation that meets the weights."""
    (job,) = plan("data=outliers", "loss=laplace", "optimizer=sgd", "optimizer.lr=1e38", "batch_size=all", *EPOCH)
    with pytest.raises(NonFiniteLoss, match=r"val/nll is nan after step 1; a smaller lr may help"):
        train(job, RunFolder.at(project / "run"))
