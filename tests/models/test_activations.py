from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from piecewise.errors import BadInput
from piecewise.models.activations import check_size, named_activation


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("identity", lambda z: z),
        ("relu", lambda z: np.where(z < 0, 0, z)),
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        ("tanh", lambda z: (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1)),
    ],
)
def test_activation_is_its_formula(name: str, formula: Callable[[np.ndarray], np.ndarray]) -> None:
    z = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(named_activation(name)(torch.from_numpy(z)).numpy(), formula(z), atol=1e-14)


def test_an_unknown_activation_gets_the_nearest_name() -> None:
    with pytest.raises(BadInput) as caught:
        named_activation("rleu")
    assert str(caught.value) == (
        "activation='rleu' is unknown; did you mean 'relu'? allowed: identity, relu, sigmoid, tanh"
    )


@pytest.mark.parametrize("value", [0, -3, 2.5, 2.0, True, "3", None])
def test_a_size_is_a_whole_number_of_at_least_one(value: object) -> None:
    with pytest.raises(BadInput) as caught:
        check_size("model.width", value)
    assert str(caught.value) == f"model.width={value!r} must be a whole number of at least 1"


def test_a_good_size_is_returned() -> None:
    assert [check_size("model.width", size) for size in (1, 100)] == [1, 100]
