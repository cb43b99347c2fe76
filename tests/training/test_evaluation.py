from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from piecewise.data.spec import Examples
from piecewise.errors import NonFiniteLoss
from piecewise.losses.categorical import Categorical
from piecewise.losses.squared_error import SquaredError
from piecewise.training.evaluation import evaluate, exact_values


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
