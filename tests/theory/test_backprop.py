from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from piecewise.models.mlp import Mlp
from piecewise.theory.backprop import Layers, backward, forward

QUICK = settings(max_examples=30, deadline=None, database=None, derandomize=True)


def layers_of(model: Mlp) -> Layers:
    linear = [*model.hidden, model.output]
    return Layers([layer.bias.detach() for layer in linear], [layer.weight.detach() for layer in linear])


@QUICK
@given(
    seed=st.integers(0, 2**32), widths=st.lists(st.integers(1, 7), min_size=1, max_size=4), outputs=st.integers(1, 3)
)
def test_gradients_by_hand_are_autograds(seed: int, widths: list[int], outputs: int) -> None:
    torch.manual_seed(seed)
    model = Mlp(3, outputs, width=widths).double()
    x, y = torch.randn(9, 3, dtype=torch.float64), torch.randn(9, outputs, dtype=torch.float64)
    (model(x) - y).square().sum().backward()
    layers = layers_of(model)
    f, remembered = forward(layers, x)
    torch.testing.assert_close(f, model(x).detach())
    gradients = backward(layers, remembered, 2 * (f - y))
    for layer, bias, weight in zip([*model.hidden, model.output], gradients.biases, gradients.weights, strict=True):
        torch.testing.assert_close(bias, layer.bias.grad)
        torch.testing.assert_close(weight, layer.weight.grad)


def test_gradients_by_hand_are_finite_differences() -> None:
    """Central differences in float64; the largest relative error of all parameters below 1e-6."""
    torch.manual_seed(0)
    model = Mlp(2, 2, width=[5, 4]).double()
    layers = layers_of(model)
    x, y = torch.randn(6, 2, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)

    def loss() -> Tensor:
        return (forward(layers, x)[0] - y).square().sum()

    f, remembered = forward(layers, x)
    gradients, h = backward(layers, remembered, 2 * (f - y)), 1e-6
    pairs = zip([*layers.biases, *layers.weights], [*gradients.biases, *gradients.weights], strict=True)
    for parameter, gradient in pairs:
        flat, wanted = parameter.view(-1), gradient.reshape(-1)
        for index in range(len(flat)):
            before = flat[index].item()
            flat[index] = before + h
            above = loss()
            flat[index] = before - h
            difference = float(above - loss()) / (2 * h)
            flat[index] = before
            assert abs(difference - float(wanted[index])) < 1e-6 * max(1.0, abs(difference))


def test_a_unit_that_is_exactly_zero_passes_no_gradient_as_in_pytorch() -> None:
    model = Mlp(1, 1, width=[2]).double()
    with torch.no_grad():
        model.hidden[0].bias.zero_()
    x = torch.zeros(1, 1, dtype=torch.float64)
    model(x).sum().backward()
    f, remembered = forward(layers_of(model), x)
    gradients = backward(layers_of(model), remembered, torch.ones_like(f))
    assert gradients.biases[0].tolist() == model.hidden[0].bias.grad.tolist() == [0.0, 0.0]


def test_a_derivative_of_another_shape_is_refused() -> None:
    layers = layers_of(Mlp(1, 1, width=[2]).double())
    _, remembered = forward(layers, torch.zeros(3, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"dl_df must have shape \(3, 1\), got shape \(3,\)"):
        backward(layers, remembered, torch.zeros(3))


def test_inputs_and_layers_that_would_broadcast_are_refused() -> None:
    layers = layers_of(Mlp(3, 1, width=[2]).double())
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3\), got shape \(3,\)"):
        forward(layers, torch.zeros(3, dtype=torch.float64))
    (first, last), (enter, leave) = layers.biases, layers.weights
    with pytest.raises(ValueError, match=r"biases\[0\] must have shape \(2,\), got shape \(2, 1\)"):
        Layers([first[:, None], last], [enter, leave])
    with pytest.raises(ValueError, match=r"weights\[1\] must have shape \(D, 2\), got shape \(2, 1\)"):
        Layers([first, last], [enter, leave.T])
