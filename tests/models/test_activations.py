from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from piecewise.errors import BadInput
from piecewise.models.activations import named_activation
from piecewise.models.sizes import check_size


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("identity", lambda z: z),
        ("relu", lambda z: np.where(z < 0, 0, z)),
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        ("tanh", lambda z: (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1)),
        ("leaky_relu", lambda z: np.maximum(0.01 * z, z)),
        ("prelu", lambda z: np.maximum(0.25 * z, z)),
        ("elu", lambda z: np.where(z > 0, z, np.exp(z) - 1)),
        ("selu", lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (np.exp(z) - 1))),
        ("gelu", lambda z: z * stats.norm.cdf(z)),
        ("silu", lambda z: z / (1 + np.exp(-z))),
        ("softplus", lambda z: np.log(1 + np.exp(z))),
        ("heaviside", lambda z: (z > 0).astype(float)),
    ],
)
def test_activation_is_its_formula(name: str, formula: Callable[[np.ndarray], np.ndarray]) -> None:
    z = np.linspace(-4, 4, 41)
    found = named_activation(name).double()(torch.from_numpy(z)).detach().numpy()
    np.testing.assert_allclose(found, formula(z), atol=1e-7 if name == "prelu" else 1e-14)


def test_an_unknown_activation_gets_the_nearest_name() -> None:
    with pytest.raises(BadInput) as caught:
        named_activation("rleu")
    assert str(caught.value) == (
        "activation='rleu' is unknown; did you mean 'relu'? allowed: elu, gelu, heaviside, identity, leaky_relu, "
        "prelu, relu, selu, sigmoid, silu, softplus, tanh"
    )


@pytest.mark.parametrize("value", [0, -3, 2.5, 2.0, True, "3", None])
def test_a_size_is_a_whole_number_of_at_least_one(value: object) -> None:
    with pytest.raises(BadInput) as caught:
        check_size("model.width", value)
    assert str(caught.value) == f"model.width={value!r} must be a whole number of at least 1"


def test_a_good_size_is_returned() -> None:
    assert [check_size("model.width", size) for size in (1, 100)] == [1, 100]


def test_heaviside_lets_no_gradient_through() -> None:
    z = torch.linspace(-2, 2, 5, requires_grad=True)
    named_activation("heaviside")(z).sum().backward()
    assert z.grad is not None
    assert z.grad.tolist() == [0.0] * 5
    far = torch.tensor([-torch.inf, -3e38, 3e38, torch.inf], requires_grad=True)
    found = named_activation("heaviside")(far)
    found.sum().backward()
    assert (found.tolist(), far.grad.tolist()) == ([0, 0, 1, 1], [0.0] * 4)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "prelu", "identity"])
def test_activations_of_two_lines_are_positively_homogeneous(name: str) -> None:
    """a[cz] = c a[z] for c > 0: the scale of one layer can move to the next."""
    activation, z = named_activation(name), torch.randn(50)
    torch.testing.assert_close(activation(3.7 * z), 3.7 * activation(z))
