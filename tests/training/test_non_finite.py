from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from piecewise.data.resident import Batch
from piecewise.training.non_finite import first_non_finite


class SquareRoot(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sqrt()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 3), nn.Sequential(SquareRoot(), nn.ReLU()), nn.Linear(3, 1))


def batch(x: float = 1.0, y: float = 0.0) -> Batch:
    return Batch(torch.full((2, 1), x), torch.full((2, 1), y), 2)


def test_the_first_layer_whose_output_is_not_finite_is_named() -> None:
    model = network()
    with torch.no_grad():
        model[0].bias.fill_(-100.0)  # its square root is NaN, and so is everything after it
    assert first_non_finite(model, batch()) == "the output of layer '1.0'"
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_weights_are_named_first(value: float) -> None:
    model = network()
    with torch.no_grad():
        model[2].weight[0, 1] = value
    assert first_non_finite(model, batch(x=math.nan)) == "the weights '2.weight', since the previous step"


def test_a_non_finite_batch_is_named() -> None:
    assert first_non_finite(nn.Linear(1, 1), batch(x=math.nan)) == "the inputs of the batch"
    assert first_non_finite(nn.Linear(1, 1), batch(y=math.inf)) == "the targets of the batch"


def test_inputs_that_half_precision_cannot_hold_are_named() -> None:
    assert first_non_finite(nn.Linear(1, 1).half(), batch(x=70_000.0)) == "the inputs of the batch"
    assert first_non_finite(nn.Linear(1, 1).half(), batch(y=70_000.0)) == "the loss itself"


def test_the_loss_is_named_if_batch_and_network_are_finite() -> None:
    assert first_non_finite(nn.Linear(1, 1), batch()) == "the loss itself"
