from __future__ import annotations

import math

import pytest
import torch

from piecewise.errors import BadInput
from piecewise.models.shallow import Shallow

ACTIVATIONS = {"relu": lambda z: max(z, 0.0), "tanh": math.tanh, "identity": lambda z: z}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_shallow_is_the_equation_by_hand(activation: str) -> None:
    """UDL eq. 3.11 and 3.12 (3.3 and 3.4 for vectors) in loops over plain numbers."""
    model = Shallow(2, 3, width=4, activation=activation).double()
    x = torch.randn(5, 2, dtype=torch.float64)
    theta0, theta = model.hidden.bias.tolist(), model.hidden.weight.tolist()
    phi0, phi = model.output.bias.tolist(), model.output.weight.tolist()
    y = model(x).tolist()
    for n, row in enumerate(x.tolist()):
        h = [ACTIVATIONS[activation](theta0[d] + sum(theta[d][i] * row[i] for i in range(2))) for d in range(4)]
        for j in range(3):
            by_hand = phi0[j] + sum(phi[j][d] * h[d] for d in range(4))
            assert y[n][j] == pytest.approx(by_hand, abs=1e-13)


def test_the_trace_holds_each_step_to_the_output() -> None:
    model, x = Shallow(2, 1, width=4), torch.randn(5, 2)
    trace = model.trace(x)
    (z,), (h,) = trace.pre_activations, trace.activations
    assert z.shape == h.shape == (5, 4)
    assert (z < 0).any()
    torch.testing.assert_close(h, z.clamp_min(0), rtol=0, atol=0)
    torch.testing.assert_close(trace.output, h @ model.output.weight.T + model.output.bias)
    torch.testing.assert_close(model(x), trace.output, rtol=0, atol=0)


def test_images_are_read_as_vectors() -> None:
    model, images = Shallow(6, 2), torch.randn(4, 1, 2, 3)
    torch.testing.assert_close(model(images), model(images.reshape(4, 6)), rtol=0, atol=0)


@pytest.mark.parametrize("width", [0, 2.5, True])
def test_an_invalid_width_is_refused(width: int) -> None:
    with pytest.raises(BadInput) as caught:
        Shallow(1, 1, width=width)
    assert str(caught.value) == f"model.width={width!r} must be a whole number of at least 1"


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(BadInput, match="activation='tan' is unknown; did you mean 'tanh'"):
        Shallow(1, 1, activation="tan")
