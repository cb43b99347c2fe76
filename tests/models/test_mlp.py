from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from piecewise.errors import BadInput
from piecewise.models.mlp import Mlp
from piecewise.models.shallow import Shallow


def test_the_layers_are_the_equation_by_hand() -> None:
    """UDL eq. 4.15 in NumPy, with every pre-activation and activation on the way."""
    model = Mlp(3, 2, depth=3, width=4).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    trace, h = model.trace(x), x.numpy()
    assert len(trace.pre_activations) == len(trace.activations) == 3
    for layer, z, a in zip(model.hidden, trace.pre_activations, trace.activations, strict=True):
        by_hand = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        h = np.maximum(by_hand, 0)
        np.testing.assert_allclose(z.detach(), by_hand, atol=1e-14)
        np.testing.assert_allclose(a.detach(), h, atol=1e-14)
    y = h @ model.output.weight.detach().numpy().T + model.output.bias.detach().numpy()
    np.testing.assert_allclose(trace.output.detach(), y, atol=1e-14)
    torch.testing.assert_close(model(x), trace.output, rtol=0, atol=0)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_depth_one_is_the_shallow_network(activation: str) -> None:
    deep, shallow = Mlp(2, 3, depth=1, width=7, activation=activation), Shallow(2, 3, 7, activation)
    shallow.hidden.load_state_dict(deep.hidden[0].state_dict())
    shallow.output.load_state_dict(deep.output.state_dict())
    x = torch.randn(20, 2)
    torch.testing.assert_close(deep(x), shallow(x), rtol=0, atol=0)


@pytest.mark.parametrize(("depth", "width"), [(1, 1), (1, 10), (2, 5), (5, 20)])
def test_number_of_parameters(depth: int, width: int) -> None:
    """3D + 1 + (K − 1)D(D + 1) for one input and one output (UDL problem 4.10)."""
    model = Mlp(1, 1, depth=depth, width=width)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == 3 * width + 1 + (depth - 1) * width * (width + 1)


def test_a_list_gives_each_layer_its_width() -> None:
    model = Mlp(1, 2, width=[3, 5, 4])
    assert [tuple(layer.weight.shape) for layer in model.hidden] == [(3, 1), (5, 3), (4, 5)]
    assert [h.shape[1] for h in model.trace(torch.zeros(6, 1)).activations] == [3, 5, 4]
    assert model(torch.zeros(6, 1)).shape == (6, 2)


def test_images_are_read_as_vectors() -> None:
    model, images = Mlp(6, 2, width=8), torch.randn(4, 1, 2, 3)
    torch.testing.assert_close(model(images), model(images.reshape(4, 6)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"width": 0}, "model.width=0"),
        ({"width": True}, "model.width=True"),
        ({"width": [3, 2.5]}, "model.width=2.5"),
        ({"width": [3, 0]}, "model.width=0"),
        ({"depth": 0}, "model.depth=0"),
        ({"depth": 2.5}, "model.depth=2.5"),
        ({"width": 2.5}, "model.width=2.5"),
    ],
)
def test_an_invalid_size_is_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput) as caught:
        Mlp(1, 1, **arguments)
    assert str(caught.value) == f"{named} must be a whole number of at least 1"


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(BadInput, match="did you mean 'sigmoid'"):
        Mlp(1, 1, activation="sigmoidd")
