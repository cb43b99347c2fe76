from __future__ import annotations

import pytest
import torch
from torch import nn

from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.residual import Residual
from piecewise.models.shallow import Shallow
from piecewise.theory.networks import linearised, relu_program

MODELS = [
    Linear(3, 2),
    Shallow(3, 2, width=5),
    Mlp(3, 2, depth=3, width=4),
    Mlp(3, 2, depth=3, width=4, residual=True),
    Mlp(3, 2, width=4, norm="batch", dropout=0.5),
    Residual(3, 2, depth=2, width=4, norm="batch"),
]


@pytest.mark.parametrize("model", MODELS, ids=range(len(MODELS)))
def test_a_program_has_the_networks_output_derivative_and_pattern(model: nn.Module) -> None:
    """Against the model, autograd's Jacobian, and the model's own pre-activations; batch norm after a few batches."""
    torch.manual_seed(0)
    model = model.double().train()
    for _ in range(3):
        model(2 * torch.randn(20, 3, dtype=torch.float64) + 1)
    model.eval()
    program = relu_program(model)
    assert program is not None
    x = torch.randn(8, 3, dtype=torch.float64)
    y, slope, pattern = linearised(program, x)
    with torch.no_grad():
        trace = model.trace(x)
    torch.testing.assert_close(y, trace.output)
    jacobian = torch.stack([torch.autograd.functional.jacobian(model, row[None])[0, :, 0] for row in x])
    torch.testing.assert_close(slope, jacobian)
    signs = [z > 0 for z in trace.pre_activations]
    assert torch.equal(pattern, torch.cat(signs, dim=1) if signs else pattern.new_zeros(8, 0))


def test_a_unit_that_is_exactly_zero_is_not_active() -> None:
    """As in PyTorch, whose ReLU has derivative 0 there."""
    model = Shallow(1, 1, width=2).double()
    with torch.no_grad():
        model.hidden.bias.zero_()
    program = relu_program(model)
    assert program is not None
    _, slope, pattern = linearised(program, torch.zeros(1, 1, dtype=torch.float64))
    assert (slope.item(), pattern.tolist()) == (0.0, [[False, False]])


@pytest.mark.parametrize("model", [Shallow(1, 1, activation="tanh"), Mlp(1, 1, norm="group", width=8), nn.Linear(1, 1)])
def test_models_without_a_relu_program_give_none(model: nn.Module) -> None:
    assert relu_program(model) is None
